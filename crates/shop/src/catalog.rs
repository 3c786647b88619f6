//! What the shop sells. A table: the shop has no database, so that two of it need not share one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Shape of a product's picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Lantern,
    Boat,
    Cup,
    Flask,
    Coat,
    Boots,
    Book,
    Tent,
}

/// One thing on sale.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) id: u16,
    pub(crate) slug: &'static str,
    pub(crate) name: &'static str,
    pub(crate) cents: u32,
    pub(crate) shape: Shape,
    pub(crate) hue: u16,
    pub(crate) text: &'static str,
}

/// All products, the most popular first.
pub(crate) const PRODUCTS: [Product; 24] = [
    product(
        1,
        "tide-lantern",
        "Tide lantern",
        6_400,
        Shape::Lantern,
        38,
        "Burns forty hours on one filling and does not mind being dropped into the river once.",
    ),
    product(
        2,
        "paper-boat",
        "Paper boat, waxed",
        900,
        Shape::Boat,
        204,
        "Folded by hand, waxed twice. Floats for an afternoon, longer in a bath.",
    ),
    product(
        3,
        "heron-cup",
        "Heron cup",
        1_850,
        Shape::Cup,
        190,
        "Stoneware with a glaze the colour of shallow water. Holds a quarter litre.",
    ),
    product(
        4,
        "rain-coat",
        "Coat for steady rain",
        18_900,
        Shape::Coat,
        48,
        "Waxed cotton, taped seams, a hood that turns with the head.",
    ),
    product(
        5,
        "steel-flask",
        "Steel flask",
        3_200,
        Shape::Flask,
        210,
        "Keeps tea hot from the spring to the mouth. One litre, two walls.",
    ),
    product(
        6,
        "mill-boots",
        "Mill boots",
        12_500,
        Shape::Boots,
        20,
        "High enough for a ford, soft enough for the walk home.",
    ),
    product(
        7,
        "book-of-weirs",
        "A book of weirs",
        2_700,
        Shape::Book,
        155,
        "One hundred and twelve weirs, drawn and measured, with the stories of who built them.",
    ),
    product(
        8,
        "one-night-tent",
        "Tent for one night",
        21_000,
        Shape::Tent,
        95,
        "Up in four minutes, down in three, weighs as much as a good dictionary.",
    ),
    product(
        9,
        "storm-lantern",
        "Storm lantern",
        7_800,
        Shape::Lantern,
        4,
        "The tide lantern's sibling with a wire cage, for boats and porches.",
    ),
    product(
        10,
        "tin-boat",
        "Tin steamboat",
        2_400,
        Shape::Boat,
        350,
        "Runs on a candle. It has made the same sound since 1891.",
    ),
    product(
        11,
        "otter-cup",
        "Otter cup",
        1_850,
        Shape::Cup,
        26,
        "As the heron cup, but brown, and it leans back a little.",
    ),
    product(
        12,
        "fog-coat",
        "Coat for fog",
        16_400,
        Shape::Coat,
        220,
        "Light wool. Found again by its one bright button.",
    ),
    product(
        13,
        "glass-flask",
        "Glass flask in cork",
        2_600,
        Shape::Flask,
        140,
        "You see how much is left. The cork sleeve forgives most falls.",
    ),
    product(
        14,
        "meadow-boots",
        "Meadow boots",
        9_800,
        Shape::Boots,
        110,
        "For wet grass at six in the morning.",
    ),
    product(
        15,
        "river-atlas",
        "Pocket river atlas",
        3_900,
        Shape::Book,
        240,
        "Every river above forty kilometres on cloth that survives rain.",
    ),
    product(
        16,
        "family-tent",
        "Tent for four",
        38_500,
        Shape::Tent,
        275,
        "Two rooms and a porch where the wet things stay.",
    ),
    product(
        17,
        "reading-lantern",
        "Reading lantern",
        5_200,
        Shape::Lantern,
        60,
        "A narrow beam for one page, dark for everyone else.",
    ),
    product(
        18,
        "model-barge",
        "Model barge",
        5_900,
        Shape::Boat,
        130,
        "Beech and brass at one to fifty, carries a kilo of sugar.",
    ),
    product(
        19,
        "ferry-cup",
        "Ferry cup",
        1_450,
        Shape::Cup,
        340,
        "Enamel, wide foot, made for tables that move.",
    ),
    product(
        20,
        "child-coat",
        "Small coat for rain",
        8_900,
        Shape::Coat,
        320,
        "Sleeves that let out twice, pockets for stones.",
    ),
    product(21, "half-flask", "Half-litre flask", 2_300, Shape::Flask, 12, "For the shorter way."),
    product(
        22,
        "wading-boots",
        "Wading boots",
        14_200,
        Shape::Boots,
        180,
        "To the hip, with felt soles for mossy stones.",
    ),
    product(
        23,
        "knot-book",
        "Thirty knots",
        1_200,
        Shape::Book,
        80,
        "With a length of cord in the spine to practise on.",
    ),
    product(
        24,
        "tarp",
        "A sheet against the sky",
        6_700,
        Shape::Tent,
        160,
        "Four corners, eight loops, no instructions.",
    ),
];

#[rustfmt::skip]
const fn product(id: u16, slug: &'static str, name: &'static str, cents: u32, shape: Shape, hue: u16, text: &'static str) -> Product {
    Product { id, slug, name, cents, shape, hue, text }
}

/// Stock changes at this pace, and with it every page that shows it.
pub(crate) const STOCK_PACE: Duration = Duration::from_secs(10);

/// Which stock count is in force: both origins compute the same one from the wall clock.
pub(crate) fn stock_count(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / STOCK_PACE.as_secs()
}

impl Product {
    pub(crate) fn by_slug(slug: &str) -> Option<&'static Product> {
        PRODUCTS.iter().find(|product| product.slug == slug)
    }

    pub(crate) fn by_id(id: &str) -> Option<&'static Product> {
        let id: u16 = id.parse().ok()?;
        PRODUCTS.iter().find(|product| product.id == id)
    }

    /// Products whose name or text has every word of the query.
    pub(crate) fn search(query: &str) -> Vec<&'static Product> {
        let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
        let matches = |product: &&Product| {
            let text = format!("{} {}", product.name, product.text).to_lowercase();
            words.iter().all(|word| text.contains(word.as_str()))
        };
        PRODUCTS.iter().filter(matches).collect()
    }

    /// Pieces left: a saw-tooth of its own for each product, so that pages change without a database.
    pub(crate) fn stock(&self, count: u64) -> u64 {
        let full = 12 + u64::from(self.id) * 7 % 30;
        let sold = count.wrapping_add(u64::from(self.id) * 13) % (full + 1);
        full - sold
    }

    pub(crate) fn price(&self) -> String {
        price(u64::from(self.cents))
    }
}

/// An amount as people read it.
pub(crate) fn price(cents: u64) -> String {
    format!("€ {}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_wants_every_word() {
        let names = |query: &str| Product::search(query).iter().map(|p| p.name).collect::<Vec<_>>();
        assert_eq!(names("HERON cup"), ["Heron cup", "Otter cup"]);
        assert_eq!(names("steamboat"), ["Tin steamboat"]);
        assert!(names("cup submarine").is_empty());
    }

    #[test]
    fn identifiers_and_slugs_are_unique() {
        for (index, product) in PRODUCTS.iter().enumerate() {
            assert_eq!(usize::from(product.id), index + 1);
            assert_eq!(Product::by_slug(product.slug).map(|found| found.id), Some(product.id));
        }
    }
}
