#[derive(Default, session::Session)]
struct Visit {
    #[session(skip, rotate)]
    user: Option<String>,
    #[session(skip, rename = "c", alias = "d", with = module)]
    cart: Vec<u64>,
}

fn main() {}
