// Package webhook delivers messages over HTTP as Standard Webhooks 1.0 lays
// down: signed, with an id that stays and a timestamp that is the attempt's. The
// body is the one that Standard Webhooks recommends, or a CloudEvent.
//
// The specifications: https://www.standardwebhooks.com, https://cloudevents.io
package webhook
