// The plate: one row of machines that stand side by side, with a lip all around it that makes it stiff, and slots for the
// bolts of trays and cradles wherever they come to stand. It is printed in segments that fit the bed and are screwed
// together at their ends, and has room behind the machines for relay board, switch and cables.
//
//   openscad -o plate.stl -D bays=3 -D pitch=66 hardware/plate.scad

include <pieces.scad>

bays = 3;        // machines on this segment
pitch = 66;      // from one to the next: thickness, play, walls, lugs that overlap, and air
depth = 150;     // of the part on which they stand
wall = 3;
lip = 10;        // height of the edge
bolt = 4.3;      // M4
ribs = 2;        // lengthwise, under nobody's feet

width = bays * pitch;

module bolts() {
    for (n = [0 : bays - 1], side = [-1, 1])
        translate([(n + 0.5) * pitch + side * (pitch / 2 - 9), 0, 0]) {
            // Slots, so that what stands here need not be the machine of today.
            for (y = [depth * 0.18, depth * 0.5 - 12, depth * 0.82 - 24])
                hull() {
                    translate([0, y, -1]) cylinder(d = bolt, h = wall + 2, $fn = 24);
                    translate([0, y + 24, -1]) cylinder(d = bolt, h = wall + 2, $fn = 24);
                }
        }
}

module plate() {
    difference() {
        union() {
            slab([width, depth], wall, 3);
            difference() {
                slab([width, depth], lip, 3);
                translate([wall, wall, -1]) slab([width - 2 * wall, depth - 2 * wall], lip + 2, 2);
            }
        }
        bolts();
        // Where segments are joined.
        for (x = [0, width - wall], y = [depth * 0.2, depth * 0.8])
            translate([x - 1, y, lip * 0.55]) drop(3.3, wall + 3);
        // Cables come through at the back of each machine.
        for (n = [0 : bays - 1])
            translate([(n + 0.5) * pitch - 10, depth - 22, -1]) slab([20, 12], wall + 2, 4);
    }
    for (n = [1 : bays - 1])
        translate([n * pitch - wall / 2, wall - eps, wall - eps]) cube([wall, depth - 2 * wall + 2 * eps, lip - wall]);
}

plate();
