// Pieces that all mounts are made of. Every one prints without support: nothing leans out by more than 45 degrees.

eps = 0.01;

// A triangle between a floor and a wall at x = 0, `reach` long on both, with the middle of its thickness at y = 0.
module gusset(reach, thickness) {
    translate([0, thickness / 2, 0])
        rotate([90, 0, 0])
            linear_extrude(height = thickness)
                polygon([[-1, -1], [reach, -1], [reach, 0], [0, reach], [-1, reach]]);
}

// What stands around a screw that cuts its own thread, or a pressed insert, wider at its foot. The hole is cut by whoever
// puts it somewhere, through all of what is there.
module boss(height, hole, wall) {
    outer = hole + 2 * wall;
    foot = min(height / 2, wall);
    cylinder(d = outer, h = height, $fn = 32);
    cylinder(d1 = outer + 2 * foot, d2 = outer, h = foot, $fn = 32);
}

// A hole through a wall that stands: a drop, so that its roof leans by 45 degrees and no more. Along x, from -1 to `length`.
module drop(hole, length) {
    r = hole / 2;
    translate([-1, 0, 0])
        rotate([90, 0, 90])
            linear_extrude(height = length + 1)
                union() {
                    circle(r = r, $fn = 32);
                    polygon([[-r * sin(45), r * cos(45)], [r * sin(45), r * cos(45)], [0, r / cos(45)]]);
                }
}

// A plate with round corners, lying on z = 0.
module slab(size, thickness, corner) {
    linear_extrude(height = thickness)
        translate([corner, corner])
            offset(r = corner, $fn = 32)
                square([size[0] - 2 * corner, size[1] - 2 * corner]);
}
