//! Whom to ask for what and when: a pure state machine.
