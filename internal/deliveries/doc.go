// Package deliveries reads deliveries and changes their course. It keeps no state:
// whatever it returns was read from Temporal.
//
// # Where a delivery is
//
// At any moment one execution carries a delivery:
//
//   - Its own, a Deliver. Every schedule that has a name has one, and every other
//     delivery once it has left its group: after a failed attempt, while its endpoint is
//     not enabled, or, if it is a schedule, once it was rescheduled or fired.
//   - A ScheduleGroup, which carries schedules without names that are due within the same
//     second, until their first attempts are over.
//   - A group, which is the Dispatch that its event was accepted in. It carries
//     deliveries of one event, or of several, until their first attempts are over.
//   - A part: a further Dispatch, where the event that was accepted has more deliveries
//     than one execution carries. Which part carries a delivery follows from the group's
//     input alone ([protocol.DispatchInput.Parts]).
//   - A line, in which up to a hundred deliveries wait for permits of their endpoint.
//
// # How it is found
//
// A delivery is found without an index. The id of a schedule, or of an event's delivery,
// gives the workflow id of its own execution, and an event's id that of its group; the id
// of a schedule without a name gives that of its ScheduleGroup, and its place there. The
// group's result names the line that a delivery has left it for, and a memo names the
// line of a delivery that has an execution of its own. So Get looks for the delivery's
// own execution first, and then in the group of its event, its part, and its line.
//
// # What holds
//
//   - A delivery's own execution wins: once there is one, group and line are history.
//   - A delivery leaves its group or line only after the next execution is durably
//     started. So it is never in none, and for a moment it is in two: Get then shows the
//     newer one, and lists show it once.
//   - What Get returns is what Temporal has now. Lists, counts and the states in
//     GetEvent come from visibility, which is a little behind (up to a second). What
//     matters is read again: GetEvent reads deliveries one by one that a list may not
//     know, and an operation that follows from a list checks each delivery itself.
//   - A filter is answered twice: visibility narrows the executions down, and then the
//     deliveries that they carry are compared with the filter. The query may match too
//     much, and never too little. It always names the tenant.
//   - Changes are Updates of the execution that carries the delivery. One that finds the
//     delivery moved is sent again to the execution that it moved to. Of two changes at
//     once one wins, and the other gets a conflict that says what the delivery is now.
package deliveries
