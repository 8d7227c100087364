#[derive(Default, serde::Serialize)]
struct Cart;

#[derive(Default, session::Session)]
struct Visit {
    cart: Cart,
}

fn main() {}
