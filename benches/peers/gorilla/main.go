// Loads and saves with gorilla/sessions' FilesystemStore (Debian's golang-github-gorilla-sessions-dev, as
// the module proxy, where scs would come from, may be out of reach). One of the processes that
// `python3 benches/peers.py` runs turn by turn.
//
// What it does, from its source (store.go 1.2.1): gob, HMAC and base64 into the file; encodes and
// checks the cookie too, so a load and a save here have that in them; locks all sessions of the
// process at once. What it does not do: no lock across processes and no merge, so of two saves at once
// the later one undoes the earlier one; it writes the file in place, so that a kill half way leaves
// half a session, which is then unreadable; no fsync.
package main

import (
	"bufio"
	"encoding/gob"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"time"

	"github.com/gorilla/sessions"
)

const step = 7919

type line struct {
	Product  uint32
	Quantity uint32
	Note     string
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	gob.Register([]line{})
	count, err := strconv.Atoi(os.Args[1])
	must(err)
	store := sessions.NewFilesystemStore(os.Args[2], []byte("0123456789abcdef0123456789abcdef"))
	requests := make([]*http.Request, count)
	for place := range requests {
		empty := httptest.NewRequest("GET", "/", nil)
		session, err := store.New(empty, "id")
		must(err)
		var cart []line
		for product := uint32(0); product < 5; product++ {
			cart = append(cart, line{product, 2, "gift wrapped"})
		}
		session.Values["user"] = "ada.lovelace@example.org"
		session.Values["cart"] = cart
		session.Values["csrf"] = "0123456789abcdef0123456789abcdef"
		session.Values["views"] = uint64(41)
		answer := httptest.NewRecorder()
		must(store.Save(empty, answer, session))
		requests[place] = httptest.NewRequest("GET", "/", nil)
		requests[place].AddCookie(answer.Result().Cookies()[0])
	}
	order := make([]*http.Request, count)
	for turn := range order {
		order[turn] = requests[turn*step%count]
	}
	load := func(request *http.Request) *sessions.Session {
		session, err := store.New(request, "id")
		must(err)
		return session
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var start time.Time
		if lines.Text() == "load" {
			start = time.Now()
			for _, request := range order {
				load(request)
			}
		} else {
			loaded := make([]*sessions.Session, count)
			for turn, request := range order {
				session := load(request)
				if len(session.Values["cart"].([]line)) != 5 {
					panic("the cart is not there")
				}
				session.Values["views"] = session.Values["views"].(uint64) + 1
				loaded[turn] = session
			}
			start = time.Now()
			for turn, session := range loaded {
				must(store.Save(order[turn], httptest.NewRecorder(), session))
			}
		}
		fmt.Printf("{\"seconds\": %.9f, \"count\": %d}\n", time.Since(start).Seconds(), count)
	}
}
