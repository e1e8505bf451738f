//! What an answer says that it costs.

use std::ops::Add;

use super::json;
use crate::vocab::NanoUsd;

/// What an answer costs, as its usage tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// What the caller is charged.
    pub cost: NanoUsd,
    /// What the provider charges the caller beside it, where the caller's own key was used: then
    /// `cost` is a fee.
    pub upstream: Option<NanoUsd>,
}

impl Bill {
    /// Appends the value of `cost`, and OpenRouter's further members where the caller's own key was
    /// used.
    pub(crate) fn put(self, out: &mut Vec<u8>) {
        json::display(out, self.cost);
        if let Some(upstream) = self.upstream {
            out.extend_from_slice(b",\"is_byok\":true,\"cost_details\":{");
            json::key(out, "upstream_inference_cost");
            json::display(out, upstream);
            out.push(b'}');
        }
    }
}

/// Without a key of the caller's own.
impl From<NanoUsd> for Bill {
    fn from(cost: NanoUsd) -> Self {
        Self { cost, upstream: None }
    }
}

/// The same answer's parts together.
impl Add<NanoUsd> for Bill {
    type Output = Self;

    fn add(self, cost: NanoUsd) -> Self {
        Self { cost: self.cost + cost, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_comes_with_what_the_provider_charges() {
        let put = |bill: Bill| {
            let mut out = Vec::new();
            bill.put(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(put(NanoUsd(1_500).into()), "0.0000015");
        let own = Bill { cost: NanoUsd(5), upstream: Some(NanoUsd(100)) } + NanoUsd(1);
        assert_eq!(
            put(own),
            "0.000000006,\"is_byok\":true,\"cost_details\":{\"upstream_inference_cost\":0.0000001}"
        );
    }
}
