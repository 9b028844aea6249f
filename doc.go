// Package postdate holds the nouns of Postdate and their rules: what a message
// is, when it is due, where it goes, how it is retried and what becomes of it.
// It stands on the standard library alone; everything else stands on it.
package postdate
