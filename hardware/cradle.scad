// A cradle for a machine in its own case that stands on its edge: two walls that hold its lower end, open at the sides for
// air and cables, on a floor that is screwed to the plate; gussets keep the walls from bending.
//
//   openscad -o cradle.stl -D 'form="nuc"' hardware/cradle.scad

include <forms.scad>
include <pieces.scad>

form = "nuc";
own = ["box", 100, 100, 30];
wall = 3;
play = 0.6;      // on each side of the machine
hold = 30;       // height of the walls
bolt = 4.3;      // M4
lug = 18;        // floor on both sides, for gussets and screws
feet = 8;        // the machine stands on ribs, for air below it

f = form_of(form, own);
slot = f[3] + 2 * play;
length = min(f[2], 150);
across = slot + 2 * wall + 2 * lug;

module side() {
    // Seen from the slot: the wall, and what holds it from outside.
    difference() {
        translate([lug, 0, 0]) cube([wall, length, hold]);
        // A window to see and to blow through, with a roof of 45 degrees on both sides.
        translate([lug - 1, length / 2, wall + 5])
            rotate([90, 0, 90])
                linear_extrude(height = wall + 2)
                    polygon([[-14, 0], [14, 0], [14, 2], [0, 16], [-14, 2]]);
    }
    for (y = [6, length / 2 - 20, length / 2 + 20, length - 6])
        translate([lug, y, wall]) rotate([0, 0, 180]) gusset(min(lug - 2, hold - wall), wall);
}

module cradle() {
    difference() {
        slab([across, length], wall, 4);
        for (x = [lug / 2, across - lug / 2], y = [length * 0.5 - 40, length * 0.5, length * 0.5 + 40])
            if (y > 8 && y < length - 8) translate([x, y, -1]) cylinder(d = bolt, h = wall + 2, $fn = 32);
    }
    side();
    translate([across, length, 0]) rotate([0, 0, 180]) side();
    for (y = [12, length - 12 - wall])
        translate([lug + wall - eps, y, wall - eps]) cube([slot + 2 * eps, wall, feet]);
}

cradle();
