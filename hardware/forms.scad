// Form factors: what a machine measures, in millimetres. A machine of another kind is a line here, or `form="own"` and its
// measures on the command line: openscad -D 'form="own"' -D 'own=[...]'.
//
// Boards: Mini-ITX Addendum 2.0 (170 x 170, holes as in the microATX positions C, F, H, J, 6.35 and 10.16 from two edges,
// 157.48 and 154.94 apart). Thin Mini-ITX has the same holes below a lower panel.
// Boxes: outer measures by their makers: NUC (slim case), Wyse 5070 (slim) and 3040. Measure yours before you print.

// A bare board: ["board", width, depth, height over it, first hole, holes apart].
// A box:        ["box", height when it stands, depth, thickness].
function form_of(name, own) =
    name == "mini-itx" ? ["board", 170, 170, 45, [6.35, 10.16], [157.48, 154.94]] :
    name == "thin-mini-itx" ? ["board", 170, 170, 25, [6.35, 10.16], [157.48, 154.94]] :
    name == "nuc" ? ["box", 117, 112, 37] :
    name == "wyse-5070" ? ["box", 184, 184, 35.6] :
    name == "wyse-3040" ? ["box", 101.6, 101.6, 28] :
    own;
