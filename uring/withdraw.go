package uring

// Withdraw takes back the visible entries that the kernel has not consumed, passes each to take, oldest
// first, and returns their number. It is for a ring whose enter fails permanently: entries that the
// kernel has not consumed were not and will not be carried out, and can be done another way. The kernel
// must not be reading the queue: no Enter may be running or follow, and the ring must not have
// SetupSQPoll. Entries obtained but not flushed are dropped. Submission half.
func (r *Ring) Withdraw(take func(e *SQE)) int {
	q := &r.sq
	head := q.head.Load()
	n := int(min(q.tail.Load()-head, q.entries))
	for i := range uint32(n) {
		take(&q.sqes[(head+i)&q.mask])
	}
	q.next = head
	q.tail.Store(head)
	return n
}
