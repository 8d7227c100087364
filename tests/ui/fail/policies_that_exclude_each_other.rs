#[derive(Default, session::Session)]
struct Visit {
    #[session(merge = session::merge::sum, on_conflict = "reject")]
    merged_or_rejected: u64,
    #[session(merge = session::merge::sum, group = "cart")]
    merged_in_a_group: u64,
    #[session(flash, on_conflict = "reject")]
    flash_or_rejected: Option<u64>,
    #[session(flash, group = "cart")]
    flash_in_a_group: Option<u64>,
    #[session(ttl = "10m", group = "cart")]
    ends_alone: u64,
    #[session(owner, ttl = "10m")]
    user: Option<u64>,
    #[session(owner, flash)]
    another_owner: Option<u64>,
    #[session(skip, ttl = "10m", flash, merge = session::merge::sum, group = "cart", owner)]
    never_stored: Option<u64>,
}

fn main() {}
