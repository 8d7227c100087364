fn add(mine: u64, theirs: u64) -> u64 {
    mine + theirs
}

fn longer(_base: &String, mine: String, theirs: String) -> usize {
    mine.len().max(theirs.len())
}

fn by_value(_base: u64, ours: u64, _theirs: u64) -> u64 {
    ours
}

#[derive(Default, session::Session)]
struct Visit {
    #[session(merge = add)]
    views: u64,
    #[session(merge = longer)]
    name: String,
    #[session(merge = by_value)]
    owned: u64,
    #[session(merge = session::merge::sum)]
    words: String,
    #[session(merge = not_there)]
    seen: u64,
}

fn main() {}
