//! What is sold.

use serde::{Deserialize, Serialize};

/// A product's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ProductId(u32);

impl ProductId {
    pub(crate) fn product(self) -> Option<&'static Product> {
        PRODUCTS.iter().find(|product| product.id == self)
    }
}

impl std::fmt::Display for ProductId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Something to buy.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) id: ProductId,
    pub(crate) name: &'static str,
    pub(crate) says: &'static str,
    pub(crate) cents: u32,
    /// The class of its picture's colours.
    pub(crate) tint: &'static str,
}

pub(crate) const PRODUCTS: [Product; 6] = [
    Product {
        id: ProductId(1),
        name: "Morning Assam",
        says: "Malty, strong, takes milk.",
        cents: 890,
        tint: "copper",
    },
    Product {
        id: ProductId(2),
        name: "Jade Sencha",
        says: "Steamed the day it was picked.",
        cents: 1250,
        tint: "jade",
    },
    Product {
        id: ProductId(3),
        name: "Mountain Oolong",
        says: "Half way between, all the way up.",
        cents: 1490,
        tint: "amber",
    },
    Product {
        id: ProductId(4),
        name: "White Peony",
        says: "Two leaves and a bud.",
        cents: 1720,
        tint: "ivory",
    },
    Product {
        id: ProductId(5),
        name: "Smoky Souchong",
        says: "Dried over pine wood.",
        cents: 1080,
        tint: "smoke",
    },
    Product {
        id: ProductId(6),
        name: "Hibiscus Night",
        says: "Red, sour, and no caffeine.",
        cents: 690,
        tint: "berry",
    },
];

/// A price as it is written.
pub(crate) fn price(cents: u32) -> String {
    format!("€ {}.{:02}", cents / 100, cents % 100)
}
