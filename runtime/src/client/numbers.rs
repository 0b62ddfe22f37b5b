//! What a client has submitted, by the numbers of requests. Pure.

use ipclusterz_base::ids::RequestId;

/// Submissions of one shape that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The first request of the first one.
    pub first: RequestId,
    /// Requests of each.
    pub requests: u64,
    /// Answers of each request.
    pub answers: u32,
    /// How many there are.
    pub times: u64,
}

impl Run {
    /// The number behind the last one.
    fn end(&self) -> u64 {
        self.first.0.saturating_add(self.requests.saturating_mul(self.times))
    }
}

/// All submissions, in order. A loop of calls is one entry.
#[derive(Debug, Default)]
pub struct Numbers(Vec<Run>);

impl Numbers {
    /// Something was submitted: consecutive requests, with so many answers each.
    pub fn add(&mut self, first: RequestId, answers: &[usize]) {
        let Some(of_first) = answers.first() else { return };
        let uniform = answers.iter().all(|count| count == of_first);
        if uniform {
            return self.push(first, answers.len() as u64, *of_first);
        }
        (first.0..).zip(answers).for_each(|(number, count)| self.push(RequestId(number), 1, *count));
    }

    fn push(&mut self, first: RequestId, requests: u64, answers: usize) {
        let answers = u32::try_from(answers).unwrap_or(u32::MAX);
        match self.0.last_mut() {
            Some(last) if last.end() == first.0 && (last.requests, last.answers) == (requests, answers) => {
                last.times = last.times.saturating_add(1);
            }
            _ => self.0.push(Run { first, requests, answers, times: 1 }),
        }
    }

    /// The runs, in order.
    pub fn runs(&self) -> &[Run] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_one_entry() {
        let mut numbers = Numbers::default();
        (1..=1000).for_each(|number| numbers.add(RequestId(number), &[1]));
        numbers.add(RequestId(1001), &[1; 8]);
        numbers.add(RequestId(1009), &[4]);
        let run = |first, requests, answers, times| Run { first: RequestId(first), requests, answers, times };
        assert_eq!(numbers.runs(), [run(1, 1, 1, 1000), run(1001, 8, 1, 1), run(1009, 1, 4, 1)]);
    }

    #[test]
    fn answers_of_different_numbers_stay_apart() {
        let mut numbers = Numbers::default();
        numbers.add(RequestId(1), &[]);
        numbers.add(RequestId(1), &[2, 3]);
        let run = |first, answers| Run { first: RequestId(first), requests: 1, answers, times: 1 };
        assert_eq!(numbers.runs(), [run(1, 2), run(2, 3)]);
    }
}
