//! Whether ranks that a queue's command starts can outlive the loss of one of them. For mpiexec, see
//! [`super::flavour`].

use super::flavour::name_of;

/// Why the ranks that this command of a queue starts cannot outlive the loss of one of them; `None` when they can.
pub fn obstacle_of_command(command: &[String]) -> Option<String> {
    let Some(program) = command.first() else { return Some("no command of the queue starts the ranks".to_owned()) };
    if name_of(program.as_ref()) != "srun" {
        return Some(format!("{program} is not known to keep the other ranks"));
    }
    let keeps = |argument: &String| argument == "--kill-on-bad-exit=0";
    if command.iter().any(keeps) { None } else { Some("queue.start has no --kill-on-bad-exit=0".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_of_a_queue_must_be_one_that_keeps_ranks() {
        let command = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(obstacle_of_command(&command("/usr/bin/srun --mpi=pmix --kill-on-bad-exit=0")), None);
        let without = obstacle_of_command(&command("srun --mpi=pmix")).expect("an obstacle");
        assert_eq!(without, "queue.start has no --kill-on-bad-exit=0");
        assert!(obstacle_of_command(&command("aprun -n 4")).expect("an obstacle").starts_with("aprun is not known"));
        assert!(obstacle_of_command(&[]).is_some());
    }
}
