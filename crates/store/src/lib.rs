//! Where bytes rest: redb index, flat files, import, export, pins, quota.
