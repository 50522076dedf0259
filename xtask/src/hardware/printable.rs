//! Whether a shape can be printed by melting plastic layer by layer: closed, resting on the bed, fitting it, with no face
//! that leans out too far and no wall that is too thin.

use std::collections::HashMap;

use super::stl::{Point, Triangle};

/// What the printer can do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Printer {
    /// Room on its bed, and above it, in millimetres.
    pub(super) bed: Point,
    /// Thinnest wall that is worth printing.
    pub(super) wall: f64,
    /// Degrees from upright by which a face may lean out over nothing.
    pub(super) lean: f64,
}

/// Area on the bed below which a part comes loose, in square millimetres.
const GRIP: f64 = 200.0;
/// Smaller than what files are rounded to.
const TINY: f64 = 1e-4;
/// A face that is no higher than this is a sliver between rounded corners, and its normal says nothing.
const SLIVER: f64 = 0.01;
/// Faces that look at each other as directly as this are two sides of a wall; in a wedge there is always a thin place.
const FACING: f64 = -0.9;
/// Faults of one kind that are named one by one.
const NAMED: usize = 3;

/// What is wrong with a shape, a sentence each; nothing when it can be printed.
pub(super) fn faults(triangles: &[Triangle], printer: &Printer) -> Vec<String> {
    let mut faults = open_edges(triangles);
    if triangles.is_empty() {
        faults.push("it is empty".to_owned());
        return faults;
    }
    let volume: f64 = triangles.iter().map(|[a, b, c]| dot(*a, cross(*b, *c)) / 6.0).sum();
    if volume <= 0.0 {
        faults.push(format!("it is inside out: its volume is {volume:.1} mm3"));
    }
    faults.extend(outside(triangles, printer));
    let faces: Vec<Face> = triangles.iter().filter_map(Face::of).collect();
    faults.extend(leaning(&faces, printer));
    faults.extend(thin(&faces, printer));
    faults
}

/// A triangle with an area, and what is looked up often.
struct Face {
    corners: Triangle,
    normal: Point,
    area: f64,
}

impl Face {
    fn of(corners: &Triangle) -> Option<Self> {
        let [a, b, c] = *corners;
        let across = cross(minus(b, a), minus(c, a));
        let length = dot(across, across).sqrt();
        let longest = [minus(b, a), minus(c, b), minus(a, c)].map(|side| dot(side, side).sqrt());
        let longest = longest.into_iter().fold(TINY, f64::max);
        (length / longest > SLIVER).then(|| Self {
            corners: *corners,
            normal: times(across, 1.0 / length),
            area: length / 2.0,
        })
    }

    /// The middle, and a place near each corner.
    fn samples(&self) -> [Point; 4] {
        let [a, b, c] = self.corners;
        let mix = |p: f64, q: f64, r: f64| plus(plus(times(a, p), times(b, q)), times(c, r));
        [
            mix(1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0),
            mix(0.9, 0.05, 0.05),
            mix(0.05, 0.9, 0.05),
            mix(0.05, 0.05, 0.9),
        ]
    }

    /// How far a ray goes until it meets this face (Möller and Trumbore, 1997).
    fn meets(&self, from: Point, to: Point) -> Option<f64> {
        let [a, b, c] = self.corners;
        let (one, two) = (minus(b, a), minus(c, a));
        let p = cross(to, two);
        let determinant = dot(one, p);
        if determinant.abs() < 1e-12 {
            return None;
        }
        let s = minus(from, a);
        let u = dot(s, p) / determinant;
        let q = cross(s, one);
        let v = dot(to, q) / determinant;
        let inside = u >= -1e-9 && v >= -1e-9 && u + v <= 1.0 + 1e-9;
        inside.then(|| dot(two, q) / determinant)
    }
}

/// A place to a tenth of what files are rounded to: a name for corners that are the same.
type Place = [i64; 3];

#[expect(clippy::cast_possible_truncation, reason = "a shape of more than 2^43 mm is refused as too large")]
fn place(point: Point) -> Place {
    point.map(|n| (n * 1e5).round() as i64)
}

/// Every edge must belong to two faces, which run along it in opposite ways.
fn open_edges(triangles: &[Triangle]) -> Vec<String> {
    let mut edges: HashMap<(Place, Place), (i32, Point)> = HashMap::new();
    for corners in triangles {
        let [a, b, c] = *corners;
        for (from, to) in [(a, b), (b, c), (c, a)] {
            edges.entry((place(from), place(to))).or_insert((0, from)).0 += 1;
        }
    }
    let count = |edge: &(Place, Place)| edges.get(edge).map_or(0, |(count, _)| *count);
    let mut wrong: Vec<Point> = edges
        .iter()
        .filter(|((from, to), _)| from != to)
        .filter(|((from, to), (there, _))| *there != 1 || count(&(*to, *from)) != 1)
        .map(|(_, (_, at))| *at)
        .collect();
    wrong.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    named(&wrong, "edges do not join exactly two faces", "it is not closed")
}

fn outside(triangles: &[Triangle], printer: &Printer) -> Vec<String> {
    let mut faults = Vec::new();
    let corners = || triangles.iter().flatten();
    for (axis, name) in ["across", "deep", "high"].into_iter().enumerate() {
        let along = |point: &Point| point.get(axis).copied().unwrap_or_default();
        let least = corners().map(along).fold(f64::INFINITY, f64::min);
        let most = corners().map(along).fold(f64::NEG_INFINITY, f64::max);
        let room = along(&printer.bed);
        if most - least > room {
            faults.push(format!("it is {:.1} mm {name}, and the bed has room for {room:.0}", most - least));
        }
        if name == "high" && least.abs() > TINY {
            faults.push(format!("it begins {least:.2} mm over the bed"));
        }
    }
    let lies = |corners: &&Triangle| corners.iter().all(|[_, _, z]| z.abs() < TINY);
    let grip: f64 = triangles.iter().filter(lies).filter_map(Face::of).map(|face| face.area).sum();
    if grip < GRIP {
        faults.push(format!("{grip:.0} mm2 lie on the bed; below {GRIP:.0} it comes loose"));
    }
    faults
}

fn leaning(faces: &[Face], printer: &Printer) -> Vec<String> {
    let limit = -(printer.lean.to_radians()).sin();
    let over_nothing = |face: &&Face| {
        let [_, _, z] = face.normal;
        let on_bed = face.corners.iter().all(|[_, _, z]| z.abs() < TINY);
        z < limit - 1e-3 && !on_bed
    };
    let wrong: Vec<Point> = faces.iter().filter(over_nothing).map(|face| face.samples()[0]).collect();
    let what = format!("faces lean out by more than {:.0} degrees", printer.lean);
    named(&wrong, &what, "they need support")
}

/// From every face inwards: what it meets first is the other side.
fn thin(faces: &[Face], printer: &Printer) -> Vec<String> {
    let mut wrong: Vec<(f64, Point)> = Vec::new();
    for face in faces {
        let inwards = times(face.normal, -1.0);
        for from in face.samples() {
            let met = faces.iter().filter_map(|other| Some((other.meets(from, inwards)?, other)));
            let nearest = met.filter(|(far, _)| *far > TINY).min_by(|a, b| a.0.total_cmp(&b.0));
            if let Some((far, other)) = nearest
                && far < printer.wall - 1e-3
                && dot(face.normal, other.normal) < FACING
            {
                wrong.push((far, from));
            }
        }
    }
    let Some(thinnest) = wrong.iter().map(|(far, _)| *far).min_by(f64::total_cmp) else { return Vec::new() };
    let places: Vec<Point> = wrong.iter().map(|(_, at)| *at).collect();
    named(
        &places,
        &format!("places are thinner than {:.1} mm", printer.wall),
        &format!("the thinnest has {thinnest:.2}"),
    )
}

fn named(places: &[Point], what: &str, so: &str) -> Vec<String> {
    if places.is_empty() {
        return Vec::new();
    }
    let shown = places.iter().take(NAMED).map(|[x, y, z]| format!("({x:.1}, {y:.1}, {z:.1})"));
    let shown: Vec<String> = shown.collect();
    vec![format!("{} {what}, at {}: {so}", places.len(), shown.join(", "))]
}

fn plus([a, b, c]: Point, [d, e, f]: Point) -> Point {
    [a + d, b + e, c + f]
}

fn minus([a, b, c]: Point, [d, e, f]: Point) -> Point {
    [a - d, b - e, c - f]
}

fn times([a, b, c]: Point, by: f64) -> Point {
    [a * by, b * by, c * by]
}

fn dot([a, b, c]: Point, [d, e, f]: Point) -> f64 {
    a * d + b * e + c * f
}

fn cross([a, b, c]: Point, [d, e, f]: Point) -> Point {
    [b * f - c * e, c * d - a * f, a * e - b * d]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTER: Printer = Printer { bed: [220.0, 220.0, 250.0], wall: 1.6, lean: 46.0 };

    /// The sides of a box between two corners, against the clock from outside.
    fn slab([x, y, z]: Point, [u, v, w]: Point) -> Vec<Triangle> {
        let quads = [
            [[x, y, z], [x, v, z], [u, v, z], [u, y, z]],
            [[x, y, w], [u, y, w], [u, v, w], [x, v, w]],
            [[x, y, z], [u, y, z], [u, y, w], [x, y, w]],
            [[u, y, z], [u, v, z], [u, v, w], [u, y, w]],
            [[u, v, z], [x, v, z], [x, v, w], [u, v, w]],
            [[x, v, z], [x, y, z], [x, y, w], [x, v, w]],
        ];
        quads.into_iter().flat_map(|[a, b, c, d]| [[a, b, c], [a, c, d]]).collect()
    }

    fn only(triangles: &[Triangle], words: &str) {
        let faults = faults(triangles, &PRINTER);
        assert!(faults.len() == 1 && faults[0].contains(words), "{faults:?}");
    }

    #[test]
    fn a_block_on_the_bed_can_be_printed() {
        assert_eq!(faults(&slab([0.0; 3], [20.0, 20.0, 5.0]), &PRINTER), [""; 0]);
    }

    #[test]
    fn a_hole_a_face_turned_around_and_an_edge_of_four_faces_are_found() {
        let block = slab([0.0; 3], [20.0, 20.0, 5.0]);
        only(&block[..11], "edges do not join exactly two faces");
        let mut turned = block.clone();
        turned[3].swap(0, 1);
        assert!(faults(&turned, &PRINTER)[0].contains("edges do not join"));
        let mut touching = block.clone();
        touching.extend(slab([20.0, 20.0, 0.0], [40.0, 40.0, 5.0]));
        only(&touching, "edges do not join exactly two faces");
        let inside_out: Vec<Triangle> = block.iter().map(|[a, b, c]| [*b, *a, *c]).collect();
        assert!(faults(&inside_out, &PRINTER).iter().any(|fault| fault.contains("inside out")));
        assert!(faults(&[], &PRINTER).contains(&"it is empty".to_owned()));
    }

    #[test]
    fn what_is_too_large_or_hovers_or_has_no_foot_is_found() {
        only(&slab([0.0; 3], [230.0, 20.0, 5.0]), "it is 230.0 mm across");
        only(
            &slab([0.0; 3], [2.0, 2.0, 251.0])
                .into_iter()
                .chain(slab([10.0, 0.0, 0.0], [30.0, 20.0, 5.0]))
                .collect::<Vec<_>>(),
            "251.0 mm high",
        );
        only(&slab([0.0; 3], [5.0, 5.0, 5.0]), "it comes loose");
        let hovers = faults(&slab([0.0, 0.0, 1.0], [20.0, 20.0, 5.0]), &PRINTER);
        assert!(hovers.iter().any(|fault| fault.contains("1.00 mm over the bed")), "{hovers:?}");
        assert!(hovers.iter().any(|fault| fault.contains("need support")), "{hovers:?}");
    }

    #[test]
    fn a_wall_that_is_too_thin_is_found_and_a_gap_between_walls_is_none() {
        only(&slab([0.0; 3], [20.0, 20.0, 1.5]), "the thinnest has 1.50");
        let mut two = slab([0.0; 3], [20.0, 20.0, 5.0]);
        two.extend(slab([20.5, 0.0, 0.0], [40.0, 20.0, 5.0]));
        assert_eq!(faults(&two, &PRINTER), [""; 0]);
    }

    #[test]
    fn a_roof_over_nothing_is_found_and_one_of_45_degrees_is_none() {
        // A block whose side leans out over the bed by `out` on ten millimetres of height.
        let leans = |out: f64| -> Vec<Triangle> {
            let lean = |[x, y, z]: Point| [if x > 10.0 { x + z / 10.0 * out } else { x }, y, z];
            slab([0.0; 3], [20.0, 20.0, 10.0]).iter().map(|corners| corners.map(lean)).collect()
        };
        assert_eq!(faults(&leans(10.0), &PRINTER), [""; 0]);
        only(&leans(12.0), "faces lean out by more than 46 degrees");
    }
}
