//! Every order in which the store calls of some programs can follow each other, with some faults.
//!
//! An execution is a list of choices. It is run from the start each time: the first choices are given,
//! and from then on the first one is always taken; then the last choice that has another is changed.

use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::programs::{self, Program, start};
use crate::store::{Fate, Local, set_next};
use crate::world::{Setting, World};

/// What is explored.
#[derive(Debug, Clone)]
pub struct Case {
    pub setting: Setting,
    pub programs: Vec<Program>,
    /// How many things go wrong in one execution, at the most.
    pub faults: u32,
}

/// What an exploration has found.
#[derive(Debug, Default)]
pub struct Found {
    pub executions: u64,
    /// The first thing that does not hold, and the steps that lead to it.
    pub broken: Option<(String, Vec<String>)>,
}

/// What the next step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Call(Fate),
    /// The early save is given up, before its call or after it.
    Cancel(Fate),
    /// The process is killed before the call, or after it.
    Kill(Fate),
}

const FAULTS: [Step; 7] = [
    Step::Call(Fate::AnswerLost),
    Step::Call(Fate::NotCarriedOut),
    Step::Call(Fate::Busy),
    Step::Kill(Fate::Answered),
    Step::Kill(Fate::Stuck),
    Step::Cancel(Fate::Answered),
    Step::Cancel(Fate::Stuck),
];

/// Where choices come from.
pub trait Chooser {
    fn choose(&mut self, of: usize) -> usize;
}

/// All executions of a case, or the first `most` of them.
pub fn explore(case: &Case, most: u64) -> Found {
    let mut found = Found::default();
    let mut given: Vec<(usize, usize)> = Vec::new();
    loop {
        let mut chooser = Given {
            choices: given,
            next: 0,
        };
        let broken = run(case, &mut chooser);
        found.executions += 1;
        given = chooser.choices;
        if broken.is_some() || found.executions >= most {
            found.broken = broken;
            return found;
        }
        while given.last().is_some_and(|(choice, of)| choice + 1 >= *of) {
            given.pop();
        }
        match given.last_mut() {
            Some((choice, _)) => *choice += 1,
            None => return found,
        }
    }
}

/// Chooses at random, the same for the same seed (xorshift64*, Vigna 2016).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self, of: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap_or_default() % of
    }
}

impl Chooser for Random {
    fn choose(&mut self, of: usize) -> usize {
        self.next(of)
    }
}

struct Given {
    choices: Vec<(usize, usize)>,
    next: usize,
}

impl Chooser for Given {
    fn choose(&mut self, of: usize) -> usize {
        if self.next == self.choices.len() {
            self.choices.push((0, of));
        }
        self.next += 1;
        self.choices[self.next - 1].0
    }
}

/// One program under way.
struct Running {
    place: usize,
    future: Local,
    /// It waits in a save that can be given up.
    is_cancellable: bool,
    /// Its next step is a store call: the first one only sends it.
    has_begun: bool,
}

/// One execution; gives what does not hold, and the steps.
pub fn run(case: &Case, chooser: &mut impl Chooser) -> Option<(String, Vec<String>)> {
    let world = World::new(case.setting, case.programs.len());
    let mut faults = case.faults;
    let mut steps = Vec::new();
    let mut running: Vec<Running> = (case.programs.iter().enumerate())
        .map(|(place, program)| Running {
            place,
            future: start(&world, place, *program),
            is_cancellable: false,
            has_begun: false,
        })
        .collect();
    // To the place where each is sent.
    for program in &mut running {
        poll(program, Step::Call(Fate::Answered));
    }
    while !running.is_empty() {
        let mut choices = Vec::new();
        for (index, program) in running.iter().enumerate() {
            choices.push((index, Step::Call(Fate::Answered)));
            if faults > 0 && program.has_begun {
                let possible = FAULTS.iter().filter(|step| match step {
                    Step::Cancel(_) => program.is_cancellable,
                    Step::Call(_) | Step::Kill(_) => true,
                });
                choices.extend(possible.map(|step| (index, *step)));
            }
        }
        let (index, step) = choices[chooser.choose(choices.len())];
        let program = case.programs[running[index].place];
        steps.push(format!(
            "{} {:?}: {step:?}",
            running[index].place, program.op
        ));
        if step != Step::Call(Fate::Answered) {
            faults -= 1;
            world.has_faults.set(true);
            // A save that is given up between two calls has learned all that its calls have done.
            let is_nothing_lost = step == Step::Cancel(Fate::Answered);
            world
                .has_lost_answers
                .set(world.has_lost_answers.get() || !is_nothing_lost);
        }
        disturb(&world, program, step);
        running[index].has_begun = true;
        // No two steps are at the same time, so that an execution is the same each time.
        world
            .clock
            .advance(Duration::from_millis(case.setting.step));
        if take_step(&mut running[index], step) {
            drop(running.remove(index));
        }
        world.check();
        if let Some(broken) = world.broken.take() {
            return Some((broken, steps));
        }
    }
    world.check_end();
    world.broken.take().map(|broken| (broken, steps))
}

fn disturb(world: &Rc<World>, program: Program, step: Step) {
    if matches!(step, Step::Kill(_)) {
        world.is_disturbed.set(true);
        if program.op.is_privileged() {
            world.is_untold.set(true);
        }
    }
}

/// Whether the program has ended.
fn take_step(program: &mut Running, step: Step) -> bool {
    match step {
        Step::Kill(Fate::Answered) => true,
        Step::Kill(_) => {
            poll(program, Step::Call(Fate::Stuck));
            true
        }
        step => poll(program, step),
    }
}

fn poll(program: &mut Running, step: Step) -> bool {
    let fate = match step {
        Step::Call(fate) | Step::Cancel(fate) | Step::Kill(fate) => fate,
    };
    set_next(program.place, fate);
    if matches!(step, Step::Cancel(_)) {
        programs::cancel_next(fate == Fate::Stuck);
    }
    let context = &mut Context::from_waker(Waker::noop());
    let is_ended = program.future.as_mut().poll(context).is_ready();
    program.is_cancellable = programs::take_is_cancellable();
    is_ended
}
