//go:build integration

package ingest_test

import (
	"os"
	"testing"

	"github.com/postdate/postdate/internal/deliverytest"
)

// TestMain runs all tests on PostgreSQL: POSTDATE_TEST_POSTGRES is a postgres:// URL of a
// user who may create databases.
func TestMain(m *testing.M) { deliverytest.MainOn(m, os.Getenv("POSTDATE_TEST_POSTGRES")) }
