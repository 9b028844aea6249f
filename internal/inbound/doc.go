// Package inbound says what a request to a source is: whether its sender signed it, what
// identifies it, what its type is, what of it is passed on, and how its sender's handshakes
// are answered. It does none of that itself: it is pure.
package inbound
