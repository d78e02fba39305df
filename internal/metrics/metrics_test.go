package metrics

import (
	"reflect"
	"testing"
	"time"

	"github.com/ringfile/ringfile"
)

// TestEveryCount has one after the other of the fields of Stats be the only one that is not zero:
// just one metric shows it.
func TestEveryCount(t *testing.T) {
	notANumber := map[string]bool{"Reason": true, "Unregistered": true, "Batches": true, "Reaps": true, "NoNowait": true, "Workers": true}
	typ := reflect.TypeFor[ringfile.Stats]()
	for i := range typ.NumField() {
		field := typ.Field(i)
		if notANumber[field.Name] {
			continue
		}
		var s ringfile.Stats
		v := reflect.ValueOf(&s).Elem().Field(i)
		want := 7.0
		switch {
		case field.Type == reflect.TypeFor[time.Duration]():
			v.SetInt(int64(7 * time.Second))
		case v.CanUint():
			v.SetUint(7)
		case v.CanInt():
			v.SetInt(7)
		default:
			t.Errorf("%s is a %v: decide how it is shown", field.Name, field.Type)
			continue
		}
		shown := 0
		for _, m := range All {
			if m.Value(&s) == want {
				shown++
			}
		}
		if shown != 1 {
			t.Errorf("%d metrics show %s, want 1", shown, field.Name)
		}
	}
}

func TestNames(t *testing.T) {
	seen := map[[2]string]bool{}
	for i, m := range All {
		key := [2]string{m.Name, m.Route}
		if seen[key] {
			t.Errorf("%v twice", key)
		}
		seen[key] = true
		if i > 0 && m.Name == All[i-1].Name && (m.Help != All[i-1].Help || m.Unit != All[i-1].Unit) {
			t.Errorf("%s has two meanings", m.Name)
		}
	}
}
