package apiserver

import (
	"context"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/postdate/postdate"
)

// underWay counts the requests of each tenant that this process has under way.
type underWay struct {
	most int // 0: no bound

	mu      sync.Mutex
	tenants map[string]int
}

func newUnderWay(most int) *underWay { return &underWay{most: most, tenants: make(map[string]int)} }

// enter adds a request of a tenant, if it may have one more.
func (u *underWay) enter(tenant string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.most > 0 && u.tenants[tenant] >= u.most {
		return false
	}
	u.tenants[tenant]++
	return true
}

func (u *underWay) leave(tenant string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tenants[tenant]--
	if u.tenants[tenant] == 0 {
		delete(u.tenants, tenant)
	}
}

func (u *underWay) used(tenant string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.tenants[tenant]
}

// bound bounds the requests that a tenant has under way with its own keys. The operator's key
// is not bounded.
func (s *server) bound(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		who := callerOf(c.Request().Context())
		if who.key == "" {
			return next(c)
		}
		if !s.underWay.enter(who.tenant) {
			c.Response().Header().Set(echo.HeaderRetryAfter, "1")
			return s.refuse(c.Request().Context(), who.tenant, postdate.Errorf(postdate.QuotaRequests, "",
				"%d requests of this tenant are under way already: wait for some to be answered", s.TenantRequests))
		}
		defer s.underWay.leave(who.tenant)
		return next(c)
	}
}

// refuse measures that a quota refused a request, and returns why.
func (s *server) refuse(ctx context.Context, tenant string, err *postdate.Error) error {
	s.Quotas.CountRefusal(ctx, tenant, err.Code)
	return err
}

// GetQuota shows what the tenant may use, and what it uses.
func (s *server) GetQuota(ctx context.Context, _ GetQuotaRequestObject) (GetQuotaResponseObject, error) {
	tenant := tenantOf(ctx)
	used, err := s.Quotas.Usage(ctx, tenant)
	if err != nil {
		return nil, err
	}
	limits := s.Quotas.Limits()
	return GetQuota200JSONResponse{
		PendingMessages:      quotaOf(limits.Messages, used.Messages),
		KeptBytes:            quotaOf(limits.Bytes, used.Bytes),
		DeliveriesPerRequest: quotaOf(int64(s.RequestDeliveries)),
		RequestsUnderWay:     quotaOf(int64(s.TenantRequests), int64(s.underWay.used(tenant))),
		RequestsPerSecond:    quotaOf(int64(s.TenantRateLimit), int64(s.tenantLimits.lately(tenant, s.Now()))),
		Reschedules:          quotaOf(int64(s.Reschedules)),
	}, nil
}

// quotaOf is a quota with its limit, where that is not 0, and what is used of it, where that
// is known.
func quotaOf(limit int64, used ...int64) Quota {
	var q Quota
	if limit > 0 {
		q.Limit = &limit
	}
	if len(used) > 0 {
		q.Used = &used[0]
	}
	return q
}
