-- Written from the contract payments.account; `caudal batch staging` writes it again. Do not edit.
with

source as (

    select * from {{ source('pinned', 'payments_account_history') }}

),

-- Nobody sees the mask of an erased person, also where silver has not been cleaned yet.
erased as (

    select subject_ref from {{ source('pinned', '_erased') }}

),

final as (

    select
        source.event_id,
        source.tenant_id,
        source.account_id,
        if(erased.subject_ref is null, source.holder_cpf, null) as holder_cpf,
        if(erased.subject_ref is null, source.holder_name, null) as holder_name,
        if(erased.subject_ref is null, source.holder_email, null) as holder_email,
        if(erased.subject_ref is null, source.holder_phone, null) as holder_phone,
        if(erased.subject_ref is null, source.bank_account, null) as bank_account,
        source.status,
        source.balance,
        source.credit_limit,
        source.opened_at,
        source.updated_at,
        source._op,
        source._sequence,
        source._source,
        source.subject_ref,
        source._observed_at,
        source._published_at,
        source._contract_version,
        source._version,
        source._late,
        source._suppressed,
        source._deleted_at,
        source._valid_from,
        source._valid_to,
        source._current
    from source
    left join erased on source.subject_ref = erased.subject_ref

)

select * from final
