//! Invoices as they are asked for and shown.

use std::io;

use serde_json::{Value, json};

use crate::ledger::ManageError;
use crate::payment::Invoice;
use crate::vocab::{AccountId, NanoUsd};

/// Why an invoice was not made or closed.
#[derive(Debug)]
pub enum InvoiceError {
    /// There is no such invoice.
    Unknown,
    /// It contradicts what is there; what is wrong, for the client.
    Conflict(&'static str),
    /// The ledger does not take its credit.
    Ledger(ManageError),
    /// It cannot be stored now.
    Store(io::Error),
}

impl From<io::Error> for InvoiceError {
    fn from(error: io::Error) -> Self {
        Self::Store(error)
    }
}

/// What an invoice is asked for.
#[derive(Clone, Debug)]
pub struct NewInvoice {
    /// Whose credit it buys.
    pub account: AccountId,
    /// How much; more than nothing.
    pub amount: NanoUsd,
    /// Asking again with the same one makes no second invoice.
    pub idempotency_key: String,
}

/// An invoice as events and management show it.
pub(crate) fn view(invoice: &Invoice) -> Value {
    json!({
        "id": invoice.id,
        "account_id": invoice.account,
        "amount_usd": invoice.amount.to_string(),
        "fee_usd": invoice.fee.to_string(),
        "total_usd": (invoice.amount + invoice.fee).to_string(),
        "cause": invoice.cause,
        "status": invoice.status,
        "reference": invoice.reference,
        "created_ms": invoice.created_ms,
        "closed_ms": invoice.closed_ms,
    })
}
