#[derive(session::Session)]
union Visit {
    number: u64,
}

fn main() {}
