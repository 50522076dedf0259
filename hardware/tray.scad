// A tray for a bare board that stands on its edge: bosses under the board's holes, a foot along one edge that is screwed to
// the plate, and gussets between the two, because the foot is where printed mounts break.
//
//   openscad -o tray.stl -D 'form="thin-mini-itx"' hardware/tray.scad

include <forms.scad>
include <pieces.scad>

form = "mini-itx";
own = ["board", 120, 120, 30, [5, 5], [110, 110]];
wall = 3;        // thickness of everything
standoff = 6;    // the board over the tray
screw = 2.7;     // hole of a boss: M3 that cuts its thread; 4.0 for pressed inserts
bolt = 4.3;      // holes of the foot: M4
foot = 24;       // how far the foot stands out
gussets = 4;
margin = 4;      // of the tray around the board
beside = 24;     // from the edge to the first gusset, past the holes of the board

f = form_of(form, own);
width = f[1] + 2 * margin;
depth = f[2] + 2 * margin;
reach = min(foot, 20);

module bosses() {
    for (i = [0, 1], j = [0, 1])
        translate([margin + f[4][0] + i * f[5][0], margin + f[4][1] + j * f[5][1], wall - eps])
            children();
}

module tray() {
    difference() {
        union() {
            difference() {
                slab([width, depth], wall, 5);
                // Air, and less plastic: four windows, with ribs between them and under the bosses.
                rib = 18;
                for (i = [0, 1], j = [0, 1])
                    translate([rib + i * (width / 2 - rib / 2), rib + 8 + j * (depth / 2 - rib / 2 - 4), -1])
                        slab([width / 2 - 1.5 * rib, depth / 2 - 1.5 * rib - 4], wall + 2, 6);
            }
            bosses() boss(standoff + eps, screw, 2.4);
        }
        translate([0, 0, -wall - 1]) bosses() cylinder(d = screw, h = wall + standoff + 3, $fn = 32);
    }
    // The foot stands while it is printed.
    difference() {
        translate([5, 0, 0]) cube([width - 10, wall + 1, foot]);
        for (x = [width * 0.25, width * 0.75])
            translate([x, -1, foot * 0.6]) rotate([0, 0, 90]) drop(bolt, wall + 4);
    }
    for (n = [0 : gussets - 1])
        translate([beside + n * (width - 2 * beside) / (gussets - 1), wall + 1, wall])
            rotate([0, 0, 90]) gusset(reach, wall);
}

tray();
