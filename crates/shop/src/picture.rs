//! Pictures of the products, drawn in code: a view box of 320 by 240, a sky, water, and one shape.

use crate::catalog::{Product, Shape};

/// The picture as an SVG document.
pub(crate) fn of(product: &Product) -> String {
    let hue = product.hue;
    let mut svg = String::with_capacity(2_048);
    let title = product.name;
    svg.push_str(&format!(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 240" role="img" aria-label="{title}"><defs><linearGradient id="s" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="hsl({hue} 55% 90%)"/><stop offset="1" stop-color="hsl({sunset} 60% 82%)"/></linearGradient><linearGradient id="f" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="hsl({hue} 58% 52%)"/><stop offset="1" stop-color="hsl({hue} 62% 34%)"/></linearGradient></defs><rect width="320" height="240" fill="url(#s)"/><circle cx="{sun}" cy="58" r="22" fill="hsl({sunset} 80% 94%)"/>"#,
        sunset = (hue + 40) % 360,
        sun = 40 + u32::from(product.id) * 67 % 240,
    ));
    hills(&mut svg, product);
    water(&mut svg, product);
    svg.push_str(match product.shape {
        Shape::Lantern => LANTERN,
        Shape::Boat => BOAT,
        Shape::Cup => CUP,
        Shape::Flask => FLASK,
        Shape::Coat => COAT,
        Shape::Boots => BOOTS,
        Shape::Book => BOOK,
        Shape::Tent => TENT,
    });
    svg.push_str("</svg>");
    svg
}

fn hills(svg: &mut String, product: &Product) {
    let seed = u32::from(product.id);
    for layer in 0..2_u32 {
        let top = 112 + layer * 26;
        let (a, b) = (seed * 37 % 60 + 40, seed * 53 % 60 + 190);
        svg.push_str(&format!(r#"<path d="M0 {base} Q{a} {peak} 160 {base} T320 {base} V200 H0Z" fill="hsl({hue} 30% {light}%)"/>"#,
            base = top + 20,
            a = a + layer * 30,
            peak = top - b / 8,
            hue = product.hue,
            light = 78 - layer * 10,
        ));
    }
}

fn water(svg: &mut String, product: &Product) {
    let hue = (product.hue + 200) % 360 / 6 + 185;
    svg.push_str(&format!(r#"<rect y="186" width="320" height="54" fill="hsl({hue} 45% 62%)"/>"#));
    for line in 0..3_u32 {
        svg.push_str(&format!(r##"<path d="M{x} {y} q12 -6 24 0 t24 0 24 0" fill="none" stroke="#fff" stroke-opacity=".55" stroke-width="2.5"/>"##,
            x = 20 + line * 88 + u32::from(product.id) * 11 % 40,
            y = 200 + line * 12,
        ));
    }
}

const LANTERN: &str = r##"<g stroke="#1d2b33" stroke-width="4" stroke-linejoin="round"><path d="M130 78 Q160 30 190 78" fill="none"/><path d="M134 78h52l8 18h-68z" fill="url(#f)"/><rect x="132" y="96" width="56" height="76" rx="6" fill="#fff8dc"/><path d="M126 172h68l6 20h-80z" fill="url(#f)"/></g><path d="M160 112c16 20 16 44 0 50-16-6-16-30 0-50z" fill="#f2a63b"/><path d="M160 132c8 10 8 22 0 26-8-4-8-16 0-26z" fill="#fff3b0"/>"##;
const BOAT: &str = r##"<g stroke="#1d2b33" stroke-width="4" stroke-linejoin="round"><path d="M160 62v100" fill="none"/><path d="M166 70l58 82h-58z" fill="#fffdf5"/><path d="M154 84l-44 68h44z" fill="url(#f)"/><path d="M84 164h152c-8 28-26 40-46 40h-60c-20 0-38-12-46-40z" fill="url(#f)"/></g>"##;
const CUP: &str = r##"<g stroke="#1d2b33" stroke-width="4" stroke-linejoin="round"><path d="M204 116c36-6 42 46-6 50" fill="none" stroke-width="12"/><path d="M108 102h100c0 52-10 92-28 98h-44c-18-6-28-46-28-98z" fill="url(#f)"/><ellipse cx="158" cy="102" rx="50" ry="11" fill="#5b4636"/></g><path d="M138 84c-8-14 8-18 0-34M160 82c-8-14 8-18 0-34M182 84c-8-14 8-18 0-34" fill="none" stroke="#fff" stroke-opacity=".8" stroke-width="4" stroke-linecap="round"/>"##;
const FLASK: &str = r##"<g stroke="#1d2b33" stroke-width="4" stroke-linejoin="round"><rect x="142" y="48" width="36" height="26" rx="5" fill="#efe7d6"/><path d="M144 74h32c0 18 18 18 18 42v74c0 10-6 14-14 14h-40c-8 0-14-4-14-14v-74c0-24 18-24 18-42z" fill="url(#f)"/><path d="M126 130h68v40h-68z" fill="#fffdf5"/></g><path d="M138 118v72" stroke="#fff" stroke-opacity=".5" stroke-width="5" stroke-linecap="round"/>"##;
const COAT: &str = r##"<g stroke="#1d2b33" stroke-width="4" stroke-linejoin="round"><path d="M136 62c4-22 44-22 48 0l36 22 14 74-26 6-10-46v86h-76v-86l-10 46-26-6 14-74z" fill="url(#f)"/><path d="M136 62c8 20 40 20 48 0M160 78v126" fill="none"/></g><g fill="#fffdf5"><circle cx="168" cy="104" r="4"/><circle cx="168" cy="132" r="4"/><circle cx="168" cy="160" r="4"/></g>"##;
const BOOTS: &str = r##"<g stroke="#1d2b33" stroke-width="4" stroke-linejoin="round"><path d="M100 70h44v86c0 12 16 14 16 28v16h-60z" fill="url(#f)"/><path d="M176 70h44v86c0 12 16 14 16 28v16h-60z" fill="url(#f)"/><path d="M100 88h44M176 88h44" fill="none"/><path d="M98 200h64M174 200h64" stroke-width="8"/></g>"##;
const BOOK: &str = r##"<g stroke="#1d2b33" stroke-width="4" stroke-linejoin="round"><path d="M160 84c-22-16-54-18-82-10v114c28-8 60-6 82 10 22-16 54-18 82-10V74c-28-8-60-6-82 10z" fill="#fffdf5"/><path d="M160 84v114" fill="none"/><path d="M70 82v116c32-8 64-6 90 10 26-16 58-18 90-10V82" fill="none" stroke="url(#f)" stroke-width="8"/></g><path d="M92 100q28-6 52 6M92 120q28-6 52 6M92 140q28-6 52 6M228 100q-28-6-52 6M228 120q-28-6-52 6M228 140q-28-6-52 6" fill="none" stroke="#8a97a0" stroke-width="3"/>"##;
const TENT: &str = r##"<g stroke="#1d2b33" stroke-width="4" stroke-linejoin="round"><path d="M160 60l92 138H68z" fill="url(#f)"/><path d="M160 100l40 98h-80z" fill="#22323b"/><path d="M160 100l-14 98h-26z" fill="#fffdf5"/><path d="M160 60v-18M68 198l-18 8M252 198l18 8" fill="none"/></g><path d="M160 42l22 8-22 8z" fill="#e8563f"/>"##;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::PRODUCTS;

    #[test]
    fn every_product_has_a_picture_of_its_own() {
        let mut pictures: Vec<String> = PRODUCTS.iter().map(of).collect();
        pictures.sort();
        pictures.dedup();
        assert_eq!(pictures.len(), PRODUCTS.len());
        assert!(pictures.iter().all(|svg| svg.starts_with("<svg") && svg.ends_with("</svg>")));
    }
}
