#[derive(Default, serde::Deserialize)]
struct Cart;

#[derive(Default, session::Session)]
struct Visit {
    cart: Cart,
}

fn main() {}
