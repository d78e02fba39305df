package sqlite_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/ringfile/ringfile/adapters/sqlite"
	"github.com/ringfile/ringfile/internal/upstream"
)

// With SQLITE_CRASH in its environment the test binary writes to the database named there until it is killed.
func TestMain(m *testing.M) {
	if uri := os.Getenv("SQLITE_CRASH"); uri != "" {
		if err := transfer(uri); err != nil {
			fmt.Println(err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const accounts = 500

// transfer moves money between accounts, of which there are enough for several pages, and tells how often it has.
func transfer(uri string) error {
	db, err := sqlite3.Open(uri)
	if err != nil {
		return err
	}
	for {
		n, from := rand.IntN(1000), rand.IntN(accounts)
		to := (from + 1 + rand.IntN(accounts-1)) % accounts
		err := db.Exec(fmt.Sprintf(`BEGIN IMMEDIATE;
			UPDATE account SET money = money - %d WHERE id = %d;
			UPDATE account SET money = money + %d WHERE id = %d;
			UPDATE done SET times = times + 1;
			COMMIT`, n, from, n, to))
		if err != nil {
			return err
		}
		times, err := number(db, "SELECT times FROM done")
		if err != nil {
			return err
		}
		fmt.Println(times)
	}
}

// number returns the one that a query yields.
func number(db *sqlite3.Conn, query string) (int, error) {
	s, _, err := db.Prepare(query)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	s.Step()
	return s.ColumnInt(0), s.Err()
}

// TestCrash kills a program that writes, again and again: what it has committed is there, and nothing else.
func TestCrash(t *testing.T) {
	upstream.Backends(t, func(t *testing.T) {
		for _, mode := range []string{"delete", "truncate", "persist", "wal"} {
			t.Run(mode, func(t *testing.T) { crash(t, t.TempDir(), "&_pragma=journal_mode("+mode+")") })
		}
	})
}

func crash(t *testing.T, dir, options string) {
	const rounds = 3
	uri := "file:" + filepath.Join(dir, "bank.db") + "?vfs=" + sqlite.Name + options
	db, err := sqlite3.Open(uri)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Exec(fmt.Sprintf(`CREATE TABLE done (times INTEGER);
		INSERT INTO done VALUES (0);
		CREATE TABLE account (id INTEGER PRIMARY KEY, money INTEGER, name TEXT);
		WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i < %d)
		INSERT INTO account SELECT i, 1000, printf('%%0200d', i) FROM n`, accounts-1))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	total := 0
	for range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "SQLITE_CRASH="+uri)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		told := total
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatalf("the program says %q", lines.Text())
			}
			if told == total { // now it is at work
				time.AfterFunc(time.Duration(rand.IntN(100))*time.Millisecond, func() { cmd.Process.Kill() })
			}
			told = n
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("the program ended itself: %v", err)
		}
		db, err := sqlite3.Open(uri)
		if err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string]int{
			"SELECT sum(money) FROM account":                                           1000 * accounts,
			"SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'": 1,
		} {
			if n, err := number(db, query); n != want || err != nil {
				t.Errorf("%s: %d, %v; want %d", query, n, err, want)
			}
		}
		// The last commit may not have been told.
		n, err := number(db, "SELECT times FROM done")
		if err != nil || n < told || n > told+1 {
			t.Errorf("%d transactions (%v), the program told of %d", n, err, told)
		}
		total = n
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d transactions, killed %d times", total, rounds)
	if total < rounds {
		t.Errorf("%d transactions", total)
	}
}
