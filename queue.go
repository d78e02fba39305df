package ringfile

// queue is a first-in, first-out line of those who wait. It keeps its memory, so that a long line
// costs allocations once.
type queue[T comparable] struct {
	items []T // a circle; its length is zero or a power of two
	head  int
	n     int
}

func (q *queue[T]) len() int { return q.n }

func (q *queue[T]) push(x T) {
	q.grow()
	q.n++
	*q.at(q.n - 1) = x
}

// pushFront makes x the next to be popped.
func (q *queue[T]) pushFront(x T) {
	q.grow()
	q.n++
	q.head--
	*q.at(0) = x
}

// grow makes room for one more.
func (q *queue[T]) grow() {
	if q.n < len(q.items) {
		return
	}
	items := make([]T, max(16, 2*len(q.items)))
	for i := range q.n {
		items[i] = *q.at(i)
	}
	q.items, q.head = items, 0
}

// pop returns the item that has waited longest; there must be one.
func (q *queue[T]) pop() T {
	x := *q.at(0)
	var zero T
	*q.at(0) = zero
	q.head++
	q.n--
	return x
}

// remove takes x out of the line and reports whether it was in it.
func (q *queue[T]) remove(x T) bool {
	for i := range q.n {
		if *q.at(i) != x {
			continue
		}
		for ; i > 0; i-- {
			*q.at(i) = *q.at(i - 1)
		}
		q.pop()
		return true
	}
	return false
}

func (q *queue[T]) at(i int) *T { return &q.items[(q.head+i)&(len(q.items)-1)] }
