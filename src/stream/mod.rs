//! One attempt's answer: provider bytes in, client bytes out, usage overheard.
