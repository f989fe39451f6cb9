"""Users, sessions and API tokens. Stores passwords as argon2id and random secrets as SHA-256.

Whoever was let in by a user has no more rights than that user has now: each request reads the user's role, a token is
judged by its owner, and what is revoked takes the tokens along that were made with it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from functools import cache
from time import time_ns

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session
from zxcvbn import zxcvbn

from .audit import Actor, Role, record_action
from .errors import ConflictError, InvalidRequestError, NotFoundError
from .schema import SessionRow, TokenRow, UserRow

USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
MIN_PASSWORD, MAX_PASSWORD = 12, 1024  # characters; argon2 reads all of them
MIN_STRENGTH = 3  # of zxcvbn's 0 to 4: more than 100 million guesses
STRENGTH_READS = 72  # characters of a password that zxcvbn is given
SESSION_NS = 12 * 3600 * 1_000_000_000
DEVICE_NS = 90 * 24 * 3600 * 1_000_000_000  # how long a browser is remembered as that of a user
MAX_SESSIONS = 50  # of one user; the oldest is deleted
TOKEN_PREFIX = "gw_"  # recognizable by scanners for leaked secrets

_hasher = PasswordHasher()  # argon2id with RFC 9106's second recommended option: 64 MiB
_hashing = threading.BoundedSemaphore(2)  # 64 MiB each: a flood of log-ins waits instead of exhausting memory


def add_user(session: Session, actor: Actor, username: str, role: Role, password: str | None) -> None:
    """Adds a user; without a password they enter through a trusted proxy only.

    Raises InvalidRequestError, ConflictError.
    """
    if USERNAME.fullmatch(username) is None:
        raise InvalidRequestError(f"username: expected {USERNAME.pattern}, got {username[:80]!r}")
    if session.get(UserRow, username) is not None:
        raise ConflictError(f"username: expected a new name, got {username}, who is a user already")
    hashed = None if password is None else hash_password(username, password)
    session.add(UserRow(username=username, role=role, password_hash=hashed, created_ns=time_ns()))
    record_action(session, actor, "add", "user", username, None, {"role": role})


def set_password(session: Session, actor: Actor, username: str, password: str) -> None:
    """Sets a password and ends the user's sessions. Raises NotFoundError, InvalidRequestError."""
    user = _user(session, username)
    user.password_hash = hash_password(username, password)
    session.execute(delete(SessionRow).where(SessionRow.username == username))
    record_action(session, actor, "passwd", "user", username, None, None)


def set_role(session: Session, actor: Actor, username: str, role: Role) -> None:
    """Changes a user's role from the next request on, and revokes those of their tokens with a higher role.

    Raises NotFoundError, ConflictError (last admin).
    """
    user = _user(session, username)
    if role is not Role.ADMIN:
        _check_not_last_admin(session, user)
        _revoke_tokens_of(session, actor, username, above=role)
    before, user.role = {"role": user.role}, role
    record_action(session, actor, "role", "user", username, before, {"role": role})


def remove_user(session: Session, actor: Actor, username: str) -> None:
    """Removes a user, their sessions and tokens; their name stays in the trail. Raises NotFoundError, ConflictError."""
    user = _user(session, username)
    _check_not_last_admin(session, user)
    _revoke_tokens_of(session, actor, username, above=None)
    record_action(session, actor, "remove", "user", username, {"role": user.role}, None)
    session.delete(user)


def can_admin_log_in(session: Session, by_proxy: bool) -> bool:
    """Whether there is an admin with a password, or without one where a trusted proxy names users."""
    admins = select(func.count()).select_from(UserRow).where(UserRow.role == Role.ADMIN)
    if not by_proxy:
        admins = admins.where(UserRow.password_hash.is_not(None))
    return bool(session.scalar(admins))


def list_users(session: Session) -> list[UserRow]:
    """All users by name."""
    return list(session.scalars(select(UserRow).order_by(UserRow.username)))


def hash_password(username: str, password: str) -> str:
    """The argon2id hash. Raises InvalidRequestError for a password that is too short, too long or easily guessed."""
    if not MIN_PASSWORD <= len(password.strip()) <= len(password) <= MAX_PASSWORD:
        raise InvalidRequestError(
            f"password: expected {MIN_PASSWORD} to {MAX_PASSWORD} characters, spaces around them not counted, "
            f"got {len(password.strip())}"
        )
    found = zxcvbn(password.strip()[:STRENGTH_READS], user_inputs=[username, "gradwatch"])
    if found["score"] < MIN_STRENGTH:
        why = found["feedback"]["warning"] or "Its words and patterns are common."
        raise InvalidRequestError(f"password: expected one that is hard to guess, such as four unrelated words. {why}")
    with _hashing:
        return _hasher.hash(password)


def check_password(user: UserRow | None, password: str) -> bool:
    """Whether it is the user's password; takes as long for a user that does not exist or has no password."""
    known = None if user is None else user.password_hash
    hashed = _dummy_hash() if known is None else known
    with _hashing:
        try:
            _hasher.verify(hashed, password[:MAX_PASSWORD])
        except (VerificationError, InvalidHashError):
            return False
    return known is not None


@cache
def _dummy_hash() -> str:
    """The hash that passwords of unknown users are checked against."""
    return _hasher.hash(secrets.token_hex())


def log_in(session: Session, user: UserRow, earlier: str | None = None) -> tuple[str, str]:
    """Creates a session for a user whose password was checked, in place of the browser's `earlier` one.

    Returns the cookie's value and the CSRF token.
    """
    if earlier is not None:
        session.execute(delete(SessionRow).where(SessionRow.session_hash == hash_secret(earlier)))
    of_user = select(SessionRow).where(SessionRow.username == user.username).order_by(SessionRow.created_ns.desc())
    for surplus in session.scalars(of_user.offset(MAX_SESSIONS - 1)):
        session.delete(surplus)
    secret, csrf_token, now = secrets.token_urlsafe(32), secrets.token_urlsafe(24), time_ns()
    session.add(
        SessionRow(
            session_hash=hash_secret(secret),
            username=user.username,
            csrf_token=csrf_token,
            created_ns=now,
            expires_ns=now + SESSION_NS,
        )
    )
    return secret, csrf_token


def session_of(session: Session, secret: str) -> tuple[UserRow, str] | None:
    """The user and the CSRF token of a cookie's session; None for an unknown or expired one."""
    found = select(UserRow, SessionRow.csrf_token).join(SessionRow, SessionRow.username == UserRow.username)
    found = found.where(SessionRow.session_hash == hash_secret(secret), SessionRow.expires_ns > time_ns())
    row = session.execute(found).first()
    return None if row is None else (row[0], row[1])


def is_device_of(session: Session, secret: str | None, username: str) -> bool:
    """Whether the cookie is of a session that this user had, expired or not: the browser is one of theirs."""
    row = None if secret is None else session.get(SessionRow, hash_secret(secret))
    return row is not None and row.username == username


def log_out(session: Session, secret: str) -> None:
    """Ends a session; the browser is still known."""
    session.execute(update(SessionRow).where(SessionRow.session_hash == hash_secret(secret)).values(expires_ns=0))


def add_token(session: Session, actor: Actor, name: str, role: Role) -> tuple[TokenRow, str]:
    """Creates a token; returns it and its secret, which is not stored. Raises InvalidRequestError for a higher role."""
    if not actor.role.includes(role):
        raise InvalidRequestError(f"role: expected at most {actor.role}, got {role}")
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = TokenRow(
        token_id=secrets.token_hex(8),
        name=name,
        role=role,
        token_hash=hash_secret(secret),
        created_by=actor.username,
        created_ns=time_ns(),
        owner=actor.account,
        parent_id=actor.token_id,
    )
    session.add(row)
    record_action(session, actor, "add", "token", row.token_id, None, {"name": name, "role": role})
    return row, secret


def token_of(session: Session, secret: str) -> tuple[TokenRow, Role] | None:
    """The token with that secret, and its role: at most that of its owner. None for an unknown or revoked one."""
    found = select(TokenRow, UserRow.role).outerjoin(UserRow, UserRow.username == TokenRow.owner)
    found = found.where(TokenRow.token_hash == hash_secret(secret), TokenRow.revoked_ns.is_(None))
    row = session.execute(found).first()
    if row is None:
        return None
    token, owners = row
    if token.owner is None:
        return token, Role(token.role)
    return None if owners is None else (token, min(Role(token.role), Role(owners), key=list(Role).index))


def list_tokens(session: Session) -> list[TokenRow]:
    """All valid tokens, oldest first."""
    return list(session.scalars(select(TokenRow).where(TokenRow.revoked_ns.is_(None)).order_by(TokenRow.created_ns)))


def revoke_token(session: Session, actor: Actor, token_id: str) -> None:
    """Revokes a token at once, and those that were made with it. Raises NotFoundError."""
    row = session.get(TokenRow, token_id)
    if row is None or row.revoked_ns is not None:
        raise NotFoundError(f"expected the id of a token, got {token_id[:64]!r}")
    ended = [row]
    for token in ended:  # grows meanwhile
        ended += session.scalars(
            select(TokenRow).where(TokenRow.parent_id == token.token_id, TokenRow.revoked_ns.is_(None))
        )
        token.revoked_ns = time_ns()
        record_action(session, actor, "revoke", "token", token.token_id, {"name": token.name, "role": token.role}, None)


def hash_secret(secret: str) -> str:
    """The stored form of a random secret, which has enough entropy to need no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def secrets_equal(one: str, other: str) -> bool:
    """Compares secrets in constant time."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def _user(session: Session, username: str) -> UserRow:
    user = session.get(UserRow, username)
    if user is None:
        raise NotFoundError(f"expected the name of a user, got {username[:64]!r}")
    return user


def _revoke_tokens_of(session: Session, actor: Actor, username: str, above: Role | None) -> None:
    """Revokes the tokens with a user's rights; with `above` only those with a role higher than it."""
    for token in list_tokens(session):
        is_above = above is None or not above.includes(Role(token.role))
        if token.owner == username and is_above and token.revoked_ns is None:  # its parent may have been before it
            revoke_token(session, actor, token.token_id)


def _check_not_last_admin(session: Session, user: UserRow) -> None:
    admins = session.scalar(select(func.count()).select_from(UserRow).where(UserRow.role == Role.ADMIN))
    if user.role == Role.ADMIN and admins == 1:
        raise ConflictError(f"{user.username} is the last admin: make another user admin first")
