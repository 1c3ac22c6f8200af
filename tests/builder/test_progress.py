from builder.progress import Progress, human, render_phases


def told(config=None):
    lines = []
    progress = Progress(lines.append)
    progress.hide(config or {})
    return progress, lines


def test_lines_come_in_the_words_users_know():
    progress, lines = told()
    progress.step("Python app detected")
    progress.detail("more")
    progress.error("broken\nbadly")
    assert lines == [b"-----> Python app detected\n", b"       more\n", b" !     broken\n", b" !     badly\n"]


def test_values_that_sound_secret_are_shown_as_their_key():
    progress, lines = told(
        {"DATABASE_URL": "postgres://u:p@h/d", "SECRET_KEY": "abcdefgh", "NODE_ENV": "production", "API_TOKEN": "short"}
    )
    progress.raw(b"connecting to postgres://u:p@h/d with abcdefgh in production, short\n")
    assert lines == [b"connecting to [DATABASE_URL] with [SECRET_KEY] in production, short\n"]


def test_phases_add_up_and_the_longest_comes_first():
    now = [0.0]
    progress = Progress(lambda data: None, clock=lambda: now[0])
    for seconds in (1.0, 2.0):
        with progress.phase("build"):
            now[0] += seconds
    with progress.phase("pack"):
        now[0] += 5
    assert render_phases(progress.phases, progress.total()) == "pack 5.00 s, build 3.00 s of 8.00 s"


def test_sizes_are_told_for_people():
    assert [human(size) for size in (12, 1024, 1536, 1 << 30, 512 << 20)] == [
        "12 B",
        "1 KiB",
        "1.5 KiB",
        "1 GiB",
        "512 MiB",
    ]
