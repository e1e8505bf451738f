//! Prepaid credit: accounts, holds, charges, and the journal that keeps them.
