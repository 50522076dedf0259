//! Triangles of an STL file, as text (`OpenSCAD` writes it so) or as bytes.

use crate::workspace::Outcome;

/// A place, in millimetres.
pub(super) type Point = [f64; 3];

/// A corner after corner, seen from outside against the clock.
pub(super) type Triangle = [Point; 3];

/// Bytes before the number of triangles of a binary file.
const HEAD: usize = 80;
/// Bytes of a triangle there: a normal, three corners, and two that nobody uses.
const EACH: usize = 50;

/// The triangles of a file.
///
/// # Errors
/// It is no STL, or not whole.
pub(super) fn read(file: &[u8]) -> Outcome<Vec<Triangle>> {
    if let Some(triangles) = binary(file) {
        return Ok(triangles);
    }
    let text = std::str::from_utf8(file).map_err(|_| "it is neither text nor a whole binary STL")?;
    if !text.trim_start().starts_with("solid")
        || !text.trim_end().lines().last().is_some_and(|line| line.trim().starts_with("endsolid"))
    {
        return Err("it does not begin with `solid` and end with `endsolid`".into());
    }
    let (mut triangles, mut corners) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("vertex") => {
                let numbers: Vec<f64> =
                    words.filter_map(|word| word.parse().ok()).filter(|n: &f64| n.is_finite()).collect();
                let corner: Point =
                    numbers.try_into().map_err(|_| format!("`{}` is no corner", line.trim()))?;
                corners.push(corner);
            }
            Some("endfacet") => {
                let three: Triangle =
                    std::mem::take(&mut corners).try_into().map_err(|_| "a facet has not three corners")?;
                triangles.push(three);
            }
            _ => {}
        }
    }
    Ok(triangles)
}

/// A binary file is one whose length is what its number of triangles says.
fn binary(file: &[u8]) -> Option<Vec<Triangle>> {
    let (_, rest) = file.split_at_checked(HEAD)?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    if rest.len() != count.checked_mul(EACH)? {
        return None;
    }
    let number = |bytes: &[u8]| bytes.first_chunk::<4>().map(|bytes| f64::from(f32::from_le_bytes(*bytes)));
    let triangle = |each: &[u8]| -> Option<Triangle> {
        let numbers: Vec<f64> =
            each.get(12..48)?.chunks(4).filter_map(number).filter(|n| n.is_finite()).collect();
        let corners: Vec<Point> = numbers.chunks(3).filter_map(|corner| corner.try_into().ok()).collect();
        corners.try_into().ok()
    };
    rest.chunks(EACH).map(triangle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_hold_the_same_triangle() {
        let wanted: Triangle = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.5, 0.0]];
        let text = "solid x\n facet normal 0 0 1\n outer loop\n vertex 0 0 0\n vertex 1 0 0\n vertex 0 1.5 0\n \
                    endloop\n endfacet\nendsolid x\n";
        assert_eq!(read(text.as_bytes()).unwrap(), [wanted]);
        let mut bytes = vec![b's'; HEAD];
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend([0; 12]);
        bytes.extend([0.0_f32, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.5, 0.0].iter().flat_map(|n| n.to_le_bytes()));
        bytes.extend([0; 2]);
        assert_eq!(read(&bytes).unwrap(), [wanted]);
        assert!(read(bytes.get(..100).unwrap()).is_err(), "cut off");
        assert!(read(text.replace("vertex 1 0 0\n", "").as_bytes()).is_err(), "a corner is missing");
        assert!(read(text.replace("1.5", "nan").as_bytes()).is_err());
        assert!(read(text.replace("endsolid x\n", "").as_bytes()).is_err());
    }
}
