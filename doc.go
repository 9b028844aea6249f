// Package postdate holds the nouns of Postdate and their rules: what a message
// is, when it is due, where it goes, how it is retried and what becomes of it.
// It uses the standard library alone; everything else uses it.
//
// The version of the module covers this package, client and signature.
package postdate
