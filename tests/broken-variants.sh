#!/usr/bin/env bash
# Shows that the loom and shuttle models can fail: breaks the crate in one place at a time, in a copy, and expects
# a model to notice. Needs only the Rust toolchain.
#
#   tests/broken-variants.sh                          every variant
#   tests/broken-variants.sh PART OF A VARIANT'S NAME
#   tests/broken-variants.sh --some                   one in twelve; of the others, only that they apply
set -euo pipefail
cd "$(dirname "$0")/.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
export CARGO_TARGET_DIR="${BROKEN_VARIANTS_TARGET_DIR:-$PWD/target/broken-variants}"
seen=0
skipped=0
caught=0
missed=0

# variant NAME FILE SED-EXPRESSION MODELS…: breaks FILE by the expression, which must change it, and expects
# one of the loom models to notice whose names contain one of MODELS.
variant() { broken poolbuf-loom-models "$@"; }

# The same for the shuttle models. Logic only: shuttle knows no weak memory.
shuttle_variant() { broken poolbuf-shuttle-models "$@"; }

broken() {
    local package=$1 name=$2 file=$3 expression=$4
    shift 4
    case "$name" in *"${wanted:-}"*) ;; *) return 0 ;; esac
    rm -rf "$copy/src" "$copy/tests" "$copy/models"
    cp -r Cargo.toml Cargo.lock README.md src tests models benches examples "$copy/"
    sed -i.before "$expression" "$copy/$file"
    if cmp -s "$copy/$file" "$copy/$file.before"; then
        echo "stale   $name: nothing in $file matches $expression"
        missed=$((missed + 1))
        return 0
    fi
    rm "$copy/$file.before"
    seen=$((seen + 1))
    if [ "${some:-}" ] && [ $((seen % 12)) != 1 ]; then
        skipped=$((skipped + 1))
        return 0
    fi
    local status=0 by
    if ! (cd "$copy" && cargo test --quiet -p "$package" --no-run) >"$copy/log" 2>&1; then
        echo "broken  $name: does not compile"
        tail -n 20 "$copy/log"
        missed=$((missed + 1))
        return 0
    fi
    (cd "$copy" && timeout 300 cargo test --quiet -p "$package" -- "$@") >"$copy/log" 2>&1 || status=$?
    if [ "$status" = 0 ] || [ "$status" = 124 ]; then
        echo "MISSED  $name: the models $([ "$status" = 0 ] && echo pass || echo hang)"
        missed=$((missed + 1))
    else
        # A model that fails can take the process with it, and so the names of others.
        by=$(grep -oE "^thread '[a-z_:]+" "$copy/log" | sed "s/^thread '\(models::\)\?//" | sort -u || true)
        case $(echo "$by" | grep -c . || true) in
            0) echo "caught  $name, by a crash" ;;
            1) echo "caught  $name, by $by" ;;
            *) echo "caught  $name, by $(echo "$by" | head -n 1) and others" ;;
        esac
        caught=$((caught + 1))
    fi
}

some=
wanted=${1:-}
if [ "$wanted" = --some ]; then
    some=yes
    wanted=
fi
treiber=src/free_list/lock_free/treiber/mod.rs
variant "the tag is never counted up" src/free_list/lock_free/tagged_index.rs \
    's/wrapping_add(Self::INDEX_MASK + 1)/wrapping_add(0)/' lock_free
# A fault that the queue of Eclipse iceoryx had.
variant "a tag is counted up from a head read earlier" $treiber \
    '/fn pop(/,/fn push(/{s/let mut head = self.load_head();/let mut head = self.load_head(); let first = head;/;s/head.with_index_and_next_tag/first.with_index_and_next_tag/}' \
    lock_free
variant "push publishes with Relaxed" $treiber \
    '/fn push/,/fn close/s/Ordering::Release/Ordering::Relaxed/' lock_free
variant "pop hides what was put back elsewhere before" $treiber \
    '/fn pop/,/fn push/s/Ordering::Release/Ordering::Relaxed/' shards
variant "head is read with Relaxed" $treiber \
    's/self.head.load(Ordering::Acquire)/self.head.load(Ordering::Relaxed)/' lock_free
variant "a failed swap reads head with Relaxed" $treiber \
    's/success, Ordering::Acquire)/success, Ordering::Relaxed)/' lock_free
variant "close leaves the tag of an empty stack alone" $treiber \
    '/fn close/,/fn counts/s/with_index_and_next_tag(None)/with_index(None)/' lock_free
variant "close publishes with Relaxed" $treiber \
    '/fn close/,/fn counts/s/Ordering::Release/Ordering::Relaxed/' lock_free
variant "close counts one buffer too many" src/core/mod.rs \
    's/keepers.fetch_add(u64::from(out)/keepers.fetch_add(u64::from(out) + 1/' pool
variant "close counts one buffer too few" src/core/mod.rs \
    's/keepers.fetch_add(u64::from(out)/keepers.fetch_add(u64::from(out).saturating_sub(1)/' pool
variant "the last keeper does not acquire" src/core/mod.rs \
    's/fetch_sub(count, Ordering::AcqRel)/fetch_sub(count, Ordering::Release)/' pool
variant "a keeper does not release" src/core/mod.rs \
    's/fetch_sub(count, Ordering::AcqRel)/fetch_sub(count, Ordering::Acquire)/' pool
variant "a release after close is not counted" src/core/mod.rs \
    's/PoolHandle::give_up(handle, 1)/PoolHandle::give_up(handle, 0)/' pool
variant "the mutex stack lends after close" src/free_list/magazines/depot/mod.rs \
    '/fn pop(/,/fn push(/s/if stack.closed/if false/' buffer_pool
variant "the mutex stack takes back after close" src/free_list/magazines/depot/mod.rs \
    '/fn push(/,/fn close/s/if stack.closed/if false/' buffer_pool
variant "the mutex stack grows by an index that is in use" src/free_list/magazines/depot/mod.rs \
    's/self.fresh - 1)/self.fresh.saturating_sub(2))/' buffer_pool
shards=src/free_list/lock_free/shards.rs
variant "one walk along the shards is enough" $shards 's/if same {/if true {/' shards
variant "a thread asks its own shard only" $shards 's/(0..Self::SHARDS).map(move/(0..1).map(move/' shards
hand=src/free_list/magazines/hand.rs
cache=src/free_list/magazines/mod.rs
variant "an owner that is busy does not say so" $hand \
    '/fn enter(/,/fn enter_fenced/s/busy.store(true/busy.store(false/' magazine
variant "an owner that is busy does not say so, the long way" $hand \
    '/fn enter_fenced/,/fn look/s/busy.store(true/busy.store(false/' magazine
variant "an owner has no light barrier" $hand 's/barrier::light();//' magazine
variant "an owner has no light barrier, the long way" $hand 's/barrier::fenced_light();//' magazine
variant "an owner leaves without Release" $hand \
    's/busy.store(false, Ordering::Release)/busy.store(false, Ordering::Relaxed)/' magazine
variant "a revoker waits without Acquire" $hand \
    's/busy.load(Ordering::Acquire)/busy.load(Ordering::Relaxed)/' magazine
variant "a revoker has no heavy barrier" src/free_list/magazines/barrier.rs \
    '/fn heavy/,/^}/s/fence(Ordering::SeqCst);//' magazine
variant "a revoker does not wait for the owner" $hand \
    's/while self.busy.load(Ordering::Acquire)/while false/' magazine
variant "a revoker leaves the magazine in the owner's hand" $cache \
    '/fn revoke/,/^}/s/hand.clear(self.place);//' magazine
variant "an owner does not mind the gate" $cache \
    's/magazine.is_open().then(|| f(magazine))/true.then(|| f(magazine))/' magazine
variant "a revoker leaves what it finds" $cache \
    '/fn revoke/,/^}/s/magazine.empty_into(&self.shared.depot);//' magazine
variant "a request is refused without a revocation" $cache \
    '/fn reclaim/,/^    }/s/self.revoke(&mut registry, false);//' magazine
variant "revokers do not take turns" $cache \
    '/fn reclaim/,/^    }/s/let mut registry = self.shared.registry.lock();/let copy = |member: \&Member| Member { magazine: Arc::clone(\&member.magazine), hand: Arc::clone(\&member.hand) }; let members = self.shared.registry.lock().members.iter().map(copy).collect(); let mut registry = Registry { members, open: 1, share: 1, retired: 0, closed: false, wanted: false, max: 2 };/' \
    magazine
variant "close leaves the magazines open" $cache \
    's/self.revoke(&mut registry, true);//' magazine
variant "a thread that ends keeps its buffers" $cache \
    '/fn retire/,/^}/s/magazine.empty_into(&self.depot);//' magazine
variant "a lowered max leaves the magazines open" $cache 's/if after < before .*{$/if false {/' shrink
variant "magazines open while too many are lent" $cache \
    's/&& self.shared.depot.may_lend_onward()//' shrink
variant "handed over though more are lent than the max" src/core/wait.rs \
    's/ \&\& !self.free_list.may_lend_onward()/ \&\& false/' shrink
variant "trim takes what was lent meanwhile for free" src/free_list/magazines/depot/trim.rs \
    's/if (position as usize) < stack.low {/if true {/' trim
variant "what a trim took from a lock-free stack is lost" src/free_list/lock_free/treiber/trim.rs \
    's/put_back(slot);//' trim
variant "two trims rely on the same mark" src/free_list/magazines/depot/trim.rs \
    's/ || stack.idle.trimming {/ {/' trim

core=src/core/mod.rs
queue=src/core/wait.rs
variant "waiting: the heads of the stacks stay as they are" $treiber \
    's/with_index_and_next_tag(head.index())/with_index(head.index())/' waiting
variant "waiting: the flag is published with Relaxed" $treiber \
    '/fn start_waiting/,/fn stop_waiting/s/Ordering::Release/Ordering::Relaxed/' waiting
variant "waiting: the mutex stack overlooks it" src/free_list/magazines/depot/mod.rs \
    's/if stack.wanted/if false/' waiting
variant "waiting: magazines are not emptied" $cache \
    '/fn start_waiting/,/fn stop_waiting/s/self.revoke(&mut registry, false);//' waiting
variant "waiting: magazines open meanwhile" $cache \
    's/&& !registry.wanted//' waiting
variant "waiting: who leaves keeps what he was handed" $queue \
    's/let Outcome::Handed(slot) = outcome else {/let Outcome::Handed(slot) = Outcome::<Slot>::Waiting else {/' waiting
variant "waiting: who joins does not look again" $queue \
    '/if queue.is_empty() {/,/Ok(Turned::Queued/s/match self.free_list.pop() {/match Err::<Slot, _>(Empty::AllInUse(0)) {/' waiting
variant "waiting: nobody says that nobody waits any more" $queue \
    '/fn leave/,/^}/s/core.stop_waiting_if_empty(&queue);//' waiting
variant "waiting: closing wakes nobody" $core \
    's/wake_all(wakers);/drop(wakers);/' waiting
variant "waiting: who is served is not woken" src/waiting/queue.rs \
    's/contain(|| waker.wake());/drop(waker);/' waiting
variant "waiting: who is late when it is closed is not counted" src/waiting/queue.rs \
    '/Late, and told so/,/Outcome::Closed/s/timed_out += .*/timed_out += 0;/' close_against_timeout

budget=src/waiting/budget.rs
variant "budget: who joins does not say so" $budget \
    's/self.shared.state.fetch_or(WANTED, Ordering::Relaxed);//' budget
variant "budget: who joins does not look again" $budget \
    '/fn charge_or_join/,/fn check/s/if self.take(bytes, |_| true).is_ok()/if false/' budget
variant "budget: bytes that come back serve nobody" $budget \
    's/if before & WANTED == 0 {/if true {/' budget
variant "budget: who leaves keeps what he was granted" $queue \
    's/budget.is_some_and(|budget| budget.leave(&ticket, ending))/{ budget.map(|budget| budget.leave(\&ticket, ending)); false }/' budget
variant "budget: more is lent than there is" $budget \
    's/let fits = lent(state) + bytes <= self.shared.limit;/let fits = lent(state) <= self.shared.limit;/' budget
variant "budget: closing forgets those who wait for bytes" $core \
    's/budget.close(self.id());/let _ = budget;/' budget

shuttle_variant "shuttle: the tag is never counted up" src/free_list/lock_free/tagged_index.rs \
    's/wrapping_add(Self::INDEX_MASK + 1)/wrapping_add(0)/' lock_free
shuttle_variant "shuttle: a thread that ends keeps its buffers" $cache \
    '/fn retire/,/^}/s/magazine.empty_into(&self.depot);//' lending opening
shuttle_variant "shuttle: a revoker does not wait for the owner" $hand \
    's/while self.busy.load(Ordering::Acquire)/while false/' magazines aligned
shuttle_variant "shuttle: closing wakes nobody" $core \
    's/wake_all(wakers);/drop(wakers);/' close
shuttle_variant "shuttle: who leaves keeps what he was handed" $queue \
    's/let Outcome::Handed(slot) = outcome else {/let Outcome::Handed(slot) = Outcome::<Slot>::Waiting else {/' waiting
shuttle_variant "shuttle: a raised max serves nobody who waits" src/core/upkeep.rs \
    's/core.serve_waiters();//' resizing
shuttle_variant "shuttle: bytes that come back serve nobody" $budget \
    's/if before & WANTED == 0 {/if true {/' budget

echo "$caught caught, $missed missed${some:+, $skipped only applied}"
[ "$caught" -gt 0 ] && [ "$missed" -eq 0 ]
