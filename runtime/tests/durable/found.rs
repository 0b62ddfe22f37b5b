//! Histories that have shown a fault, shrunk; each test says which.

use crate::clients::Goes::*;
use crate::deaths::Point::*;
use crate::history::play;
use crate::steps::Step::*;

/// Its session was not on disk yet: it was told that the controller does not know it.
#[test]
fn a_client_that_was_let_in_a_moment_before_the_power_failed_is_known_afterwards() {
    play(0, &[LosePower { at: 45415, hole: false, arrive: 0 }]);
    play(3, &[LosePower { at: 0, hole: false, arrive: 0 }, Return, Connect(13), Cut(1), Exchange(61)]);
}

/// The refusal of the connection before came before the welcome, which waited for the disk. The peer took it for its own.
#[test]
fn a_hello_that_comes_right_behind_another_one_is_answered_before_that_one_is_refused() {
    play(0, &[Cut(3), Connect(31), Cut(11), Connect(123), Gather]);
}

/// This is no fault: the answer that it was given up is lost with the power, and the abort comes again after it has begun.
#[test]
fn what_was_given_up_and_is_queued_again_after_a_loss_of_power_may_run_and_has_one_answer() {
    let submit = Submit { client: 223, goes: Anywhere(0), function: false };
    let abort = Abort { client: 7, all: false, all_clients: false };
    let die = Die { point: BeforeWrite, arrive: 0 };
    play(0, &[submit, abort, die, Return, Exchange(107), LosePower { at: 43762, hole: false, arrive: 0 }]);
}

/// It had more answers than the journal knows, was told to count from there, and lost that connection before it was told
/// that it stands. The next hello said the old count again, and the controller believed it: an answer was never sent.
#[test]
fn a_client_that_knows_more_than_the_journal_and_is_cut_off_as_it_comes_back_gets_all_answers() {
    let submit = Submit { client: 1, goes: Anywhere(0), function: false };
    let (up, down) = (|peer, channel| Up { peer, channel, count: 9 }, |peer, channel| Down { peer, channel, count: 9 });
    let first = [submit, Exchange(3), Exchange(0), Begin(0), Exchange(1), Begin(1), Compact];
    let second = [submit, up(3, 1), Commit, down(0, 1), down(1, 1), Begin(0), Begin(1), Finish(1), up(1, 1), Commit];
    let second_is_lost = [down(3, 1), LosePower { at: 0, hole: false, arrive: 0 }, Return];
    let comes_back = [Connect(3), up(3, 0), Commit, Sync, Commit, down(3, 0), up(3, 1), Cut(3)];
    let first_is_done = [Exchange(0), Exchange(1), Finish(0), Finish(1), Exchange(0), Exchange(1)];
    play(0, &[&first[..], &second, &second_is_lost, &comes_back, &first_is_done].concat());
}

/// It had asked for the function of a task, which the journal forgot that it has. It did not ask again when it was given that task
/// once more.
#[test]
fn an_engine_that_asks_for_a_function_and_is_told_that_it_has_no_task_asks_again_when_it_has() {
    let submit = Submit { client: 1, goes: Anywhere(1), function: true };
    let first_engine_dies = [EngineDies { engine: 0, arrive: 0 }, LauncherTells, Up { peer: 1, channel: 0, count: 9 }];
    let given_to_second = [Wait(600), Commit, Down { peer: 0, channel: 1, count: 9 }];
    let is_lost = [Up { peer: 0, channel: 1, count: 9 }, Commit, LosePower { at: 0, hole: false, arrive: 0 }];
    play(0, &[&[submit, Exchange(3), Compact][..], &first_engine_dies, &given_to_second, &is_lost].concat());
}

/// Its connection broke as it came for the first time, when the controller had given it a task already. It came anew, and the task
/// was lost, though it was never begun.
#[test]
fn an_engine_that_is_cut_off_as_it_comes_for_the_first_time_keeps_what_it_was_given() {
    let submit = Submit { client: 0, goes: Anywhere(0), function: false };
    let abort = Abort { client: 0, all: false, all_clients: false };
    let comes = [submit, EngineComes { beside: false }, submit, abort, Approach { peer: 144, steps: 7 }];
    play(0, &[&comes[..], &[submit, Cut(134), Gather]].concat());
}

/// No fault was found here: it counts from where it was told, and so it does when it comes back once more.
#[test]
fn a_client_that_knows_more_than_the_journal_counts_from_where_it_was_told() {
    let submit = Submit { client: 1, goes: Anywhere(0), function: false };
    let (up, down) = (|peer, channel| Up { peer, channel, count: 9 }, |peer, channel| Down { peer, channel, count: 9 });
    let first = [submit, Exchange(3), Exchange(0), Begin(0), Exchange(1), Begin(1), Compact];
    let second = [submit, up(3, 1), Commit, down(0, 1), down(1, 1), Begin(0), Begin(1), Finish(1), up(1, 1), Commit];
    let second_is_lost = [down(3, 1), LosePower { at: 0, hole: false, arrive: 0 }, Return];
    let comes_back_twice =
        [Exchange(3), Cut(3), Exchange(0), Exchange(1), Finish(0), Finish(1), Exchange(0), Exchange(1)];
    play(0, &[&first[..], &second, &second_is_lost, &comes_back_twice].concat());
}

/// No fault was found here: what the controller said to have in the middle of a session is there after a loss of power.
#[test]
fn what_was_received_in_the_middle_of_a_session_survives_a_loss_of_power() {
    let submit = Submit { client: 1, goes: Anywhere(0), function: false };
    let up = |channel| Up { peer: 3, channel, count: 99 };
    let told = [submit, AskOften(1), up(1), up(0), Commit, Down { peer: 3, channel: 0, count: 99 }];
    play(0, &[&told[..], &[LosePower { at: 0, hole: false, arrive: 0 }]].concat());
    play(0, &[&told[..], &[Sync, Commit, Exchange(3), LosePower { at: 0, hole: false, arrive: 0 }]].concat());
}

/// What was sent to a client before it had its second connection went nowhere, and was counted: an answer came twice.
#[test]
fn a_client_that_is_not_there_yet_hears_nothing_of_an_abort() {
    play(
        0,
        &[
            ClientComes { beside: false },
            Submit { client: 5, goes: Anywhere(0), function: false },
            Approach { peer: 24, steps: 1 },
            ClientDies { client: 92, arrive: 0 },
            Abort { client: 0, all: false, all_clients: true },
            Exchange(158),
            Exchange(31),
            Submit { client: 187, goes: Anywhere(0), function: false },
        ],
    );
}

/// It had its welcome, and its connection broke before it was told that it stands. The welcome of its session which went on
/// said neither which engines there are nor what the session is called.
#[test]
fn a_client_that_is_cut_off_as_it_comes_for_the_first_time_knows_the_engines() {
    let (comes, die) = (ClientComes { beside: false }, Die { point: BeforeWrite, arrive: 0 });
    let lose_power = LosePower { at: 0, hole: false, arrive: 0 };
    play(1, &[lose_power, comes, Return, Approach { peer: 11, steps: 8 }, die]);
}

/// It was told that an engine is gone, and the journal lost that: the engine was there again, and the client did not know it.
#[test]
fn a_client_that_knows_more_of_an_engine_than_the_journal_knows_what_the_journal_knows() {
    let submit = Submit { client: 0, goes: Anywhere(0), function: false };
    let lose_power = LosePower { at: 0, hole: false, arrive: 1 };
    play(8, &[Drop { peer: 84, channel: 0 }, Wait(31000), submit, Commit, submit, lose_power]);
}

/// Its lease was over, and another engine had its id. That one was away when it came back, and had to give its place up.
#[test]
fn an_engine_that_comes_back_too_late_does_not_take_the_place_of_another_one() {
    let submit = Submit { client: 0, goes: Anywhere(0), function: false };
    let die = Die { point: BeforeWrite, arrive: 0 };
    let first = [EngineComes { beside: false }, submit, submit, die, ClientDies { client: 0, arrive: 0 }];
    play(0, &[&first[..], &[submit, Return, Wait(31000), Exchange(191), die]].concat());
}

/// Its first hello came after the second one had a session, and took that away.
#[test]
fn a_hello_that_comes_late_takes_no_session_away() {
    let (dies, comes) = (EngineDies { engine: 0, arrive: 0 }, ClientComes { beside: false });
    play(0, &[dies, comes, Connect(107), Cut(3), Exchange(171)]);
}

/// It was started with the id of one that had died, and came when another one had got that by itself and was away.
#[test]
fn an_engine_takes_no_place_of_one_that_was_not_started_for_it() {
    let (comes, die) = (EngineComes { beside: false }, Die { point: BeforeWrite, arrive: 0 });
    let late = Late { which: 0, end: false };
    play(13, &[EngineDies { engine: 62, arrive: 0 }, comes, comes, late, Exchange(4), die]);
}

/// No fault was found here: it heard that its session stands when the controller had been dead for longer than its lease.
#[test]
fn an_engine_that_hears_too_late_that_it_was_let_in_is_not_known_any_more() {
    let (comes, die) = (EngineComes { beside: false }, Die { point: BeforeWrite, arrive: 1 });
    play(0, &[comes, Approach { peer: 69, steps: 8 }, die, Return, Wait(31000)]);
}

/// Its connection broke, and it was taken for one whose process had ended, because the client before it in its session was on the
/// controller's host.
#[test]
fn a_client_elsewhere_that_has_taken_a_session_over_may_come_back() {
    let submit = |client| Submit { client, goes: Anywhere(0), function: true };
    let comes = Succeeds { client: 0, beside: false };
    play(8, &[comes, Exchange(109), submit(2), Exchange(118), Cut(83), submit(103)]);
}

/// The controller died between the welcome of a client that has taken a session over and its second connection: the session, with all
/// that was submitted in it, was forgotten.
#[test]
fn a_session_that_is_being_taken_over_is_kept() {
    let submit = Submit { client: 29, goes: Anywhere(0), function: false };
    let comes = Succeeds { client: 0, beside: false };
    play(16, &[comes, submit, Connect(154), Gather, Commit, Die { point: BeforeWrite, arrive: 0 }]);
}

/// What it was sent before it had its second connection was counted, and went nowhere: an answer came twice, and another never.
#[test]
fn a_client_that_takes_a_session_over_gets_what_came_meanwhile() {
    let submit = Submit { client: 91, goes: To(3), function: false };
    let comes = Succeeds { client: 0, beside: false };
    let first = [submit, Approach { peer: 19, steps: 7 }, Exchange(249), Begin(13)];
    play(0, &[&first[..], &[comes, Approach { peer: 34, steps: 1 }, Write(19)]].concat());
}

/// The kernel told of the end of the client from which its session had been taken over a moment before.
#[test]
fn the_end_of_a_client_is_not_that_of_the_next_one_in_its_session() {
    let submit = Submit { client: 0, goes: To(2), function: false };
    let lose_power = LosePower { at: 0, hole: false, arrive: 0 };
    let first = [Succeeds { client: 0, beside: false }, lose_power, EngineDies { engine: 103, arrive: 0 }];
    play(8, &[&first[..], &[submit, Return, Approach { peer: 113, steps: 1 }]].concat());
}

/// A client of a session with a name broke the rules: it was put out, and all that was under way in the session with it.
#[test]
fn a_session_outlives_a_client_that_is_put_out() {
    let submit = Submit { client: 7, goes: Anywhere(0), function: false };
    play(24, &[submit, Approach { peer: 243, steps: 7 }, BreaksRules(19)]);
}

/// Its engine died, and the launcher was to say how: the answer was neither under way nor kept for whoever took the session over.
#[test]
fn an_answer_that_waits_for_the_last_word_on_an_engine_is_under_way() {
    let submit = |client| Submit { client, goes: Anywhere(0), function: false };
    play(22, &[submit(91), EngineDies { engine: 83, arrive: 0 }, submit(65), Exchange(11)]);
}

/// It was killed before it had sent its call, and the next one gave the number again.
#[test]
fn no_client_gets_a_number_that_one_before_it_has_given() {
    let submit = |client| Submit { client, goes: Anywhere(0), function: false };
    play(
        0,
        &[
            EngineDies { engine: 0, arrive: 0 },
            Succeeds { client: 0, beside: false },
            Exchange(107),
            submit(52),
            submit(2),
        ],
    );
}

/// It had to begin anew, was let in, and was cut off before it knew that. It took what went on then for what it had had before, and sent
/// all of that again.
#[test]
fn a_client_that_begins_anew_in_its_session_does_not_send_what_it_had_sent() {
    let submit = |client| Submit { client, goes: Anywhere(0), function: false };
    let first = [submit(29), Exchange(3), EngineDies { engine: 0, arrive: 0 }, BreaksRules(35), Exchange(0)];
    let approach = [Down { peer: 80, channel: 0, count: 1 }, Approach { peer: 32, steps: 8 }];
    play(16, &[&first[..], &approach, &[Die { point: BeforeWrite, arrive: 0 }, submit(0)]].concat());
}
