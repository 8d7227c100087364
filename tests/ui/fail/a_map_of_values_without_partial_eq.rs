use std::collections::HashMap;

#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Line {
    amount: u32,
}

#[derive(Default, session::Session)]
struct Visit {
    cart: HashMap<u32, Line>,
    nested: Option<Vec<HashMap<u32, Line>>>,
    fine: Vec<Line>,
}

fn main() {}
