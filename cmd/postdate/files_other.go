//go:build !unix

package main

// openFilesLimit is not known here.
func openFilesLimit() int { return 0 }
