package tenants

import (
	"context"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// CreateCalendar adds a holiday calendar, which is valid. Where the same one is there it is
// returned and created is false; another one of its name is a [postdate.Conflict].
func (s *Store) CreateCalendar(ctx context.Context, tenant string, c postdate.HolidayCalendar) (created bool, err error) {
	changed, err := s.change(ctx, tenant, true, protocol.UpdatePutCalendar, protocol.PutCalendar{Calendar: c, Create: true})
	return changed.Created, err
}

// PutCalendar adds a holiday calendar, which is valid, or replaces the one of its name.
func (s *Store) PutCalendar(ctx context.Context, tenant string, c postdate.HolidayCalendar) error {
	_, err := s.change(ctx, tenant, true, protocol.UpdatePutCalendar, protocol.PutCalendar{Calendar: c})
	return err
}

// DeleteCalendar removes a holiday calendar.
func (s *Store) DeleteCalendar(ctx context.Context, tenant, name string) error {
	_, err := s.change(ctx, tenant, false, protocol.UpdateDeleteCalendar, name)
	return err
}
