"""The checks of `smtpapi doctor`.

What is asked of the world stands beside what follows from the answers, which is pure: facts in, findings out.
Nothing is changed; what a check leaves behind (a hit, a mail) is marked as the doctor's.
"""
