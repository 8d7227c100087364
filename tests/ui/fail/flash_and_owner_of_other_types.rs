#[derive(Default, session::Session)]
struct Visit {
    #[session(flash)]
    notice: u64,
    #[session(owner)]
    user: String,
}

#[derive(Default, session::Session)]
struct Other {
    #[session(owner)]
    user: Option<Vec<u8>>,
}

fn main() {}
