// Package webhook delivers messages over HTTP as Standard Webhooks 1.0 lays
// down: signed, with an id that stays and a timestamp that is the attempt's.
//
// The specification: https://www.standardwebhooks.com
package webhook
