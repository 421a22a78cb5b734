"""Where files are found, and what a download may leave behind; no test reaches a network."""

from __future__ import annotations

import hashlib
import sys

import pytest

from tinygrad_gm.data.files import RemoteFile, cache_folder, fetch, find

CONTENT = b"forty-two bytes of text, or nearly so many" * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache folder, not made yet; TINYGRAD_GM_DATA is unset."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TINYGRAD_GM_DATA", raising=False)
    return tmp_path / "cache" / "tinygrad_gm"


def served(folder, name, content=CONTENT):
    """The URL of a local file."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return (folder / name).as_uri()


@pytest.mark.parametrize(
    ("platform", "environment", "wanted"),
    [
        ("linux", {}, "home/.cache/tinygrad_gm"),
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/tinygrad_gm"),
        ("darwin", {}, "home/Library/Caches/tinygrad_gm"),
        ("win32", {}, "home/AppData/Local/tinygrad_gm"),
        ("win32", {"LOCALAPPDATA": "/y"}, "/y/tinygrad_gm"),
    ],
)
def test_the_cache_folder_is_the_platforms(tmp_path, monkeypatch, platform, environment, wanted):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "platform", platform)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == tmp_path / wanted


def test_the_users_folder_comes_before_the_cache_and_the_first_name_before_the_second(
    cache, tmp_path, monkeypatch
):
    own = tmp_path / "own"
    for folder, names in ((cache, "ab"), (own, "bc")):
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).touch()
    assert find("b", "a") == cache / "b"
    monkeypatch.setenv("TINYGRAD_GM_DATA", str(own))
    assert find("a", "c", "b") == own / "c"
    assert find("a") == cache / "a"
    assert find("d") is None


def test_a_variable_that_names_no_folder_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_GM_DATA", str(tmp_path / "mispelt"))
    with pytest.raises(NotADirectoryError, match=r"TINYGRAD_GM_DATA is '.*mispelt'"):
        find("names.txt")


def test_a_download_lands_in_the_cache_and_is_not_repeated(cache, tmp_path, capsys):
    url = served(tmp_path / "server", "f.bin")
    file = RemoteFile("f.bin", SHA256, (url,))
    assert fetch(file) == cache / "f.bin"
    assert (cache / "f.bin").read_bytes() == CONTENT
    assert capsys.readouterr().err == f"downloading {url} to {cache / 'f.bin'}\n"
    (tmp_path / "server" / "f.bin").unlink()
    assert fetch(file) == cache / "f.bin"
    assert capsys.readouterr().err == ""


def test_a_file_that_is_there_in_another_form_is_not_downloaded(cache):
    cache.mkdir(parents=True)
    (cache / "f").touch()
    assert fetch(RemoteFile("f.gz", SHA256, ("file:///nowhere",)), "f") == cache / "f"


def test_the_next_mirror_is_asked_when_one_fails_or_gives_other_bytes(cache, tmp_path):
    server = tmp_path / "server"
    urls = (
        (tmp_path / "absent").as_uri(),
        served(server, "other", CONTENT[:-1]),
        served(server, "right"),
    )
    assert fetch(RemoteFile("f.bin", SHA256, urls)).read_bytes() == CONTENT
    assert [path.name for path in cache.iterdir()] == ["f.bin"]


def test_a_wrong_checksum_is_one_clear_error_and_leaves_no_file(cache, tmp_path):
    url = served(tmp_path / "server", "f.bin", b"something else")
    with pytest.raises(FileNotFoundError) as caught:
        fetch(RemoteFile("f.bin", SHA256, (url,)))
    message = str(caught.value)
    for words in (url, hashlib.sha256(b"something else").hexdigest(), SHA256, str(cache)):
        assert words in message
    assert list(cache.iterdir()) == []


def test_without_a_network_the_error_names_file_urls_and_folder(cache, monkeypatch):
    def refuse(url, timeout):
        import urllib.error

        raise urllib.error.URLError("name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    urls = ("https://one.example/f.bin", "https://two.example/f.bin")
    with pytest.raises(FileNotFoundError) as caught:
        fetch(RemoteFile("f.bin", SHA256, urls))
    message = str(caught.value)
    for words in (f"f.bin is not in {cache}", *urls, "not known", "Put the file into", "GM_DATA"):
        assert words in message
    assert list(cache.iterdir()) == []


def test_a_connection_that_breaks_leaves_no_file(cache, tmp_path, monkeypatch):
    class Broken:
        def __init__(self):
            self.headers, self.blocks = {"Content-Length": "99"}, [b"begin"]

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def read(self, size):
            if self.blocks:
                return self.blocks.pop()
            raise ConnectionResetError("connection reset by peer")

    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: Broken())
    with pytest.raises(FileNotFoundError, match=r"https://a\.example/f: connection reset by peer"):
        fetch(RemoteFile("f.bin", SHA256, ("https://a.example/f",)))
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_no_matter_of_the_network(cache, tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(PermissionError, match=r"cannot write .*f\.bin: permission denied"):
        fetch(RemoteFile("f.bin", SHA256, (served(tmp_path / "server", "f.bin"),)))


def test_every_url_of_ours_is_https_and_every_checksum_a_sha256():
    from tinygrad_gm.data import images, text

    known = [*images._MNIST, images._CIFAR10, text._NAMES, text._SHAKESPEARE]
    assert len({file.sha256 for file in known}) == len(known) == 7
    for file in known:
        assert len(bytes.fromhex(file.sha256)) == 32
        assert len(file.urls) == 2
        assert all(url.startswith("https://") for url in file.urls)


def test_nothing_of_the_network_is_imported_before_a_download():
    import subprocess

    code = "import sys, tinygrad_gm.data; print({'urllib.request', 'tqdm'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
