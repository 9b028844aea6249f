package recurrences_test

import (
	"testing"

	"github.com/postdate/postdate/internal/deliverytest"
)

func TestMain(m *testing.M) { deliverytest.Main(m) }
