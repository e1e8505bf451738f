//! The shape of `[payment]`.

use serde::{Deserialize, Serialize};

/// What purchases of credit cost beside the credit: invoices, and top-ups that are purchases.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Payment {
    /// The fee, as a percentage of the credit with at most two decimal places. Default `"0%"`.
    pub fee: String,
    /// The least fee of a purchase, 0 to 1000 US dollars. Default `"0"`.
    pub fee_minimum_usd: String,
}

impl Default for Payment {
    fn default() -> Self {
        Self { fee: "0%".to_owned(), fee_minimum_usd: "0".to_owned() }
    }
}
