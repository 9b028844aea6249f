package apiserver

import (
	"context"

	"github.com/postdate/postdate"
)

// ListCalendars lists the tenant's holiday calendars.
func (s *server) ListCalendars(ctx context.Context, _ ListCalendarsRequestObject) (ListCalendarsResponseObject, error) {
	tenant, err := s.Tenants.Tenant(ctx, tenantOf(ctx))
	if err != nil {
		return nil, err
	}
	return ListCalendars200JSONResponse{Data: append([]Calendar{}, tenant.Calendars...)}, nil
}

// CreateCalendar keeps a holiday calendar.
func (s *server) CreateCalendar(ctx context.Context, r CreateCalendarRequestObject) (CreateCalendarResponseObject, error) {
	calendar := *r.Body
	if err := calendar.Validate(); err != nil {
		return nil, err
	}
	created, err := s.Tenants.CreateCalendar(ctx, tenantOf(ctx), calendar)
	switch {
	case err != nil:
		return nil, err
	case !created:
		return CreateCalendar200JSONResponse(calendar), nil
	}
	return CreateCalendar201JSONResponse{
		Body: calendar, Headers: CreateCalendar201ResponseHeaders{Location: "/v1/calendars/" + calendar.Name},
	}, nil
}

// GetCalendar shows a holiday calendar.
func (s *server) GetCalendar(ctx context.Context, r GetCalendarRequestObject) (GetCalendarResponseObject, error) {
	calendar, err := s.calendar(ctx, r.Name)
	return GetCalendar200JSONResponse(calendar), err
}

func (s *server) calendar(ctx context.Context, name string) (postdate.HolidayCalendar, error) {
	tenant, err := s.Tenants.Tenant(ctx, tenantOf(ctx))
	if err != nil {
		return postdate.HolidayCalendar{}, err
	}
	calendar, ok := tenant.Calendar(name)
	if !ok {
		return postdate.HolidayCalendar{}, postdate.Errorf(postdate.NotFound, "", "there is no holiday calendar %q", name)
	}
	return calendar, nil
}

// PutCalendar creates or replaces a holiday calendar.
func (s *server) PutCalendar(ctx context.Context, r PutCalendarRequestObject) (PutCalendarResponseObject, error) {
	calendar := postdate.HolidayCalendar{Name: r.Name, Dates: r.Body.Dates, Weekend: r.Body.Weekend}
	if err := calendar.Validate(); err != nil {
		return nil, err
	}
	if err := s.Tenants.PutCalendar(ctx, tenantOf(ctx), calendar); err != nil {
		return nil, err
	}
	return PutCalendar200JSONResponse(calendar), nil
}

// DeleteCalendar removes a holiday calendar.
func (s *server) DeleteCalendar(ctx context.Context, r DeleteCalendarRequestObject) (DeleteCalendarResponseObject, error) {
	calendar, err := s.calendar(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	if err := s.Tenants.DeleteCalendar(ctx, tenantOf(ctx), r.Name); err != nil {
		return nil, err
	}
	return DeleteCalendar200JSONResponse(calendar), nil
}
