//! `[payment]`: what purchases cost.

use super::fault::{At, Faults};
use super::file;
use crate::catalog::Share;
use crate::payment::Fee;
use crate::vocab::NanoUsd;

/// The largest least fee.
const MINIMUM_MAX: NanoUsd = NanoUsd::from_dollars(1_000);

pub(super) fn resolve(raw: &file::Payment, faults: &mut Faults) -> Fee {
    let mut at = At::new("payment", faults);
    let share = Share::parse(&raw.fee).unwrap_or_else(|| {
        at.fault("fee", "must be a percentage, for instance \"5.5%\"");
        Share::NONE
    });
    let minimum = NanoUsd::parse_dollars(&raw.fee_minimum_usd).ok();
    let minimum = minimum.filter(|usd| (NanoUsd::ZERO..=MINIMUM_MAX).contains(usd));
    let minimum = minimum.unwrap_or_else(|| {
        at.fault("fee_minimum_usd", "must be from 0 to 1000 US dollars, for instance \"0.80\"");
        NanoUsd::ZERO
    });
    Fee { share, minimum }
}
