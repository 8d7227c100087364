#[derive(Default, session::Session)]
#[session(on_conflict = "sometimes", ttl = "10m")]
struct Visit {
    #[session(ttl)]
    no_time: bool,
    #[session(ttl = "10 minutes")]
    other_words: bool,
    #[session(ttl = 600)]
    a_number: bool,
    #[session(ttl = "0s")]
    nothing: bool,
    #[session(ttl = "99999999999999999d")]
    too_much: bool,
    #[session(merge = "session::merge::sum")]
    in_quotes: u64,
    #[session(merge)]
    no_function: u64,
    #[session(on_conflict = "merge")]
    other_policy: u64,
    #[session(on_conflict)]
    no_policy: u64,
    #[session(group)]
    no_group: u64,
    #[session(group = "")]
    empty_group: u64,
    #[session(rename = "#version")]
    a_name_of_the_librarys: u64,
    #[session(migrate = "old")]
    migrate_in_quotes: u64,
    #[session(version = 1)]
    a_version: u64,
    #[session(flash = true)]
    flash_value: Option<u64>,
    #[session(owner = "user")]
    owner_value: Option<u64>,
}

fn main() {}
