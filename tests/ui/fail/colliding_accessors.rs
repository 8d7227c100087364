#[derive(Default, session::Session)]
struct Visit {
    cart_mut: u64,
    set_cart: u64,
    page_mut: u64,
    update_page: u64,
}

fn main() {}
